package login_test

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// fakeClock is advanced by hand.
type fakeClock struct{ at atomic.Int64 }

func (c *fakeClock) now() time.Time { return time.Unix(0, c.at.Load()).UTC() }

func (c *fakeClock) advance(by time.Duration) { c.at.Add(int64(by)) }

// fixture is a test fixture of users, clients and a store. Its clock starts at noon.
type fixture struct {
	*storeState
	t           *testing.T
	directory   *login.Directory
	replayCount atomic.Int64

	mu           sync.Mutex
	endedDigests map[token.Digest]bool // on any replica
}

// testReplica is a replica: a login service with its own view of the store.
type testReplica struct {
	*login.Service
	store   *fakeStore
	fixture *fixture
}

// clientAddress is the address of a user.
var clientAddress = netip.MustParseAddr("192.0.2.7")

// rightPassword is the password of every user.
const rightPassword = "correct horse battery staple"

var rightPasswordHash = sync.OnceValue(func() string {
	h, err := bcrypt.GenerateFromPassword([]byte(rightPassword), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(h)
})

func parseHash(t testing.TB, hash string) password.Stored {
	t.Helper()
	s, err := password.ParseHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newFixture returns a fixture with alice at acme and globex, bob at globex, and initech without
// users.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	w := &fixture{t: t, directory: &login.Directory{}, endedDigests: map[token.Digest]bool{}}
	w.storeState = &storeState{records: map[token.Digest]record.Record{}, clock: &fakeClock{}}
	w.clock.at.Store(noon.UnixNano())
	for i, name := range []string{"acme", "globex", "initech"} {
		w.directory.SetClient(login.Client{
			Name: name, AccountID: int64(1001 + i), CreatedAt: noon, LoginLifetime: time.Hour, RememberedLifetime: 14 * 24 * time.Hour,
			RefreshLifetime: 30 * 24 * time.Hour, IdleTimeout: 30 * time.Minute,
			Limits: login.Limits{MaxSessions: 20, MaxSessionTokens: 20, MaxOpenTokens: 20},
		})
	}
	w.directory.SetUser(w.user("alice", "acme", "globex"))
	w.directory.SetUser(w.user("bob", "globex"))
	return w
}

// user returns a user with accounts at clients.
func (w *fixture) user(name string, clients ...string) login.User {
	s := parseHash(w.t, rightPasswordHash())
	u := login.User{Name: name, UID: "uid of " + name, Username: name, CreatedAt: noon, Password: s, Credential: s.Fingerprint()}
	for _, c := range clients {
		u.Accounts = append(u.Accounts, login.Account{Client: c})
	}
	return u
}

// newReplica adds a replica whose cache is behind by that many changes. A nil behind means never.
func (w *fixture) newReplica(behind func() int) *testReplica {
	r := &fakeStore{storeState: w.storeState, behind: behind, cache: map[token.Digest]record.Record{}, deletedHere: map[token.Digest]bool{}}
	return &testReplica{login.NewService(login.Options{
		Directory: w.directory, Records: r, MaxConcurrentChecks: 1, Entropy: rand.Reader, Now: w.clock.now,
		OnEnded: func(d token.Digest) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.endedDigests[d] = true
		},
		OnReplayed: func(login.User, record.Record, netip.Addr) { w.replayCount.Add(1) },
	}), r, w}
}

func (w *fixture) alice() login.User {
	u, _ := w.directory.User("alice")
	return u
}

func (w *fixture) client(name string) login.Client {
	c, _ := w.directory.Client(name)
	return c
}

// openRefreshable logs alice in at acme, with a refresh token.
func (s *testReplica) openRefreshable() login.Opened {
	s.fixture.t.Helper()
	return s.open("acme", login.Terms{Kind: token.Login, Refreshable: true})
}

func (s *testReplica) open(client string, t login.Terms) login.Opened {
	s.fixture.t.Helper()
	o, err := s.Open(s.fixture.t.Context(), s.fixture.alice(), s.fixture.client(client), t)
	if err != nil {
		s.fixture.t.Fatal(err)
	}
	return o
}

// refresh presents the refresh token of a pair now.
func (s *testReplica) refresh(o login.Opened) (login.Opened, error) {
	return s.presentToken(o.Refresh)
}

func (s *testReplica) presentToken(tok token.Token) (login.Opened, error) {
	return s.Refresh(s.fixture.t.Context(), tok, "", clientAddress, s.fixture.clock.now())
}

// mustRefresh asserts that a refresh succeeds, and returns the valid new pair.
func (s *testReplica) mustRefresh(o login.Opened) login.Opened {
	s.fixture.t.Helper()
	next, err := s.refresh(o)
	if err != nil {
		s.fixture.t.Fatalf("a refresh token that is good: %v", err)
	}
	if !s.fixture.isValid(next) {
		s.fixture.t.Fatal("the new pair is not good")
	}
	return next
}

// wantDenied asserts that err is ErrDenied and says nothing else.
func wantDenied(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, login.ErrDenied) || err.Error() != login.ErrDenied.Error() {
		t.Errorf("%s: %v, want ErrDenied", what, err)
	}
}

// parseToken parses a token as a server reads it from a request.
func parseToken(t *testing.T, text string) token.Token {
	t.Helper()
	tok, err := token.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}
