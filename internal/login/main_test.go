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

// clock is advanced by hand.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time        { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) step(by time.Duration) { c.at.Add(int64(by)) }

// world is a test fixture of users, clients and a store. Its clock starts at noon.
type world struct {
	*truth
	t         *testing.T
	directory *login.Directory
	replayed  atomic.Int64

	mu    sync.Mutex
	ended map[token.Digest]bool // on any replica
}

// one is a replica: a login service with its own view of the store.
type one struct {
	*login.Service
	store *replica
	w     *world
}

// home is the address of a user.
var home = netip.MustParseAddr("192.0.2.7")

// right is the password of every user.
const right = "correct horse battery staple"

var rightHash = sync.OnceValue(func() string {
	h, err := bcrypt.GenerateFromPassword([]byte(right), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(h)
})

func stored(t testing.TB, hash string) password.Stored {
	t.Helper()
	s, err := password.ReadHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newWorld returns a fixture with alice at acme and globex, bob at globex, and initech without
// users.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, directory: &login.Directory{}, ended: map[token.Digest]bool{}}
	w.truth = &truth{held: map[token.Digest]record.Record{}, clock: &clock{}}
	w.clock.at.Store(noon.UnixNano())
	for i, name := range []string{"acme", "globex", "initech"} {
		w.directory.SetClient(login.Client{
			Name: name, AccountID: int64(1001 + i), Since: noon, Lifetime: time.Hour, Remembered: 14 * 24 * time.Hour,
			Refresh: 30 * 24 * time.Hour, Idle: 30 * time.Minute, MaxSessions: 20,
		})
	}
	w.directory.SetUser(w.user("alice", "acme", "globex"))
	w.directory.SetUser(w.user("bob", "globex"))
	return w
}

// user returns a user with accounts at clients.
func (w *world) user(name string, clients ...string) login.User {
	s := stored(w.t, rightHash())
	u := login.User{Name: name, UID: "uid of " + name, Username: name, Since: noon, Password: s, Credential: s.Fingerprint()}
	for _, c := range clients {
		u.Accounts = append(u.Accounts, login.Account{Client: c})
	}
	return u
}

// replica adds a replica whose cache is behind by that many changes. A nil behind means never.
func (w *world) replica(behind func() int) *one {
	r := &replica{truth: w.truth, behind: behind, cache: map[token.Digest]record.Record{}, own: map[token.Digest]bool{}}
	return &one{login.NewService(login.Options{
		Directory: w.directory, Records: r, Checks: 1, Entropy: rand.Reader, Now: w.clock.now,
		Ended: func(d token.Digest) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ended[d] = true
		},
		Replayed: func(login.User, record.Record, netip.Addr) { w.replayed.Add(1) },
	}), r, w}
}

func (w *world) alice() login.User {
	u, _ := w.directory.User("alice")
	return u
}

func (w *world) client(name string) login.Client {
	c, _ := w.directory.Client(name)
	return c
}

// pair logs alice in at acme, with a refresh token.
func (s *one) pair() login.Opened {
	s.w.t.Helper()
	return s.open("acme", login.Terms{Kind: token.Login, Refreshable: true})
}

func (s *one) open(client string, t login.Terms) login.Opened {
	s.w.t.Helper()
	o, err := s.Open(s.w.t.Context(), s.w.alice(), s.w.client(client), t)
	if err != nil {
		s.w.t.Fatal(err)
	}
	return o
}

// refresh presents the refresh token of a pair now.
func (s *one) refresh(o login.Opened) (login.Opened, error) {
	return s.present(o.Refresh)
}

func (s *one) present(tok token.Token) (login.Opened, error) {
	return s.Refresh(s.w.t.Context(), tok, "", home, s.w.clock.now())
}

// good asserts that a refresh succeeds, and returns the valid new pair.
func (s *one) good(o login.Opened) login.Opened {
	s.w.t.Helper()
	next, err := s.refresh(o)
	if err != nil {
		s.w.t.Fatalf("a refresh token that is good: %v", err)
	}
	if !s.w.holds(next) {
		s.w.t.Fatal("the new pair is not good")
	}
	return next
}

// denied asserts that err is ErrDenied and says nothing else.
func denied(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, login.ErrDenied) || err.Error() != login.ErrDenied.Error() {
		t.Errorf("%s: %v, want ErrDenied", what, err)
	}
}

// asRead parses a token as a server reads it from a request.
func asRead(t *testing.T, text string) token.Token {
	t.Helper()
	tok, err := token.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}
