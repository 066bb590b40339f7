package server_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// inn is a test server with logins and management. Its clock moves only when a test moves it. It is
// behind a proxy that names the address of the caller.
type inn struct {
	*server.Doors
	t       testing.TB
	clock   *clock
	index   *verify.Index
	books   *ledger
	desk    *counter
	people  *login.Directory
	audit   *audit
	ended   *results
	url     string
	openAPI string
	secrets []string // issued or in use: no log may hold them
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) goes(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// results records the results of logins.
type results struct {
	mu  sync.Mutex
	all []string
}

func (r *results) note(protocol, result string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, protocol+" "+result)
}

// count returns how many logins had a result.
func (r *results) count(result string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, each := range r.all {
		if strings.HasSuffix(each, " "+result) {
			n++
		}
	}
	return n
}

// opened is the time of the fixture's clock at first.
var opened = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// marker is part of every password, and must show up nowhere.
const marker = "MARKED"

var passwords = map[string]string{
	"alice": "alice's pass:word, " + marker, "bob": "bob's, " + marker, "carol": "carol's, " + marker, "dave": "dave's, " + marker, "erin": "erin's ü, " + marker,
}

// usernames are the names that users log in with.
var usernames = map[string]string{"alice": "alice@example.com", "bob": "bob", "carol": "carol", "dave": "dave", "erin": "erin ü"}

// accounts are the users' accounts, the default first. Bob is suspended, and Dave's password is
// stored in plain text.
var accounts = map[string][]string{
	"alice": {"acme", "umbrella", "hushed", "frozen"}, "bob": {"acme"}, "dave": {"acme"}, "erin": {"umbrella"},
}

var roles = map[string][]grant.Role{
	"acme": {
		{Name: "developer", Permissions: []string{"sec.application-token.*"}}, {Name: "client~primary", Permissions: []string{"search.*", "sec.continuous.rest"}},
		{Name: "reader", Permissions: []string{"search.query"}}, {Name: "revoker", Permissions: []string{"sec.token.revoke"}},
	},
	"umbrella": {{Name: "revoker", Permissions: []string{"sec.token.revoke"}}, {Name: "developer", Permissions: []string{"sec.application-token.*"}}, {Name: "reader", Permissions: []string{"search.query"}}},
	"hushed":   {{Name: "reader", Permissions: []string{"search.query"}}},
	"frozen":   {{Name: "reader", Permissions: []string{"search.query"}}},
}

// has are the roles of the users at each client.
var has = map[string]map[string][]string{
	"alice": {"acme": {"developer", "client~primary"}, "umbrella": {"reader"}, "hushed": {"reader"}, "frozen": {"reader"}},
	"bob":   {"acme": {"developer"}}, "carol": {}, "dave": {"acme": {"reader"}}, "erin": {"umbrella": {"developer"}},
}

// clients are the clients that users log in at.
var clients = []login.Client{
	{Name: "acme", AccountID: 1001, Open: login.OpenExpiring}, {Name: "umbrella", AccountID: 2002, Open: login.OpenAllowed, Lifetime: 4 * 24 * time.Hour},
	{Name: "hushed", AccountID: 3003, Open: login.OpenForbidden}, {Name: "frozen", AccountID: 4004, Suspended: true},
}

// stored returns the stored passwords. Hashing takes a while, so it is done once.
var stored = sync.OnceValue(func() map[string]password.Stored {
	all := map[string]password.Stored{}
	for name, text := range passwords {
		hash, err := bcrypt.GenerateFromPassword([]byte(text), bcrypt.MinCost)
		if err != nil {
			panic(err)
		}
		if all[name], err = password.ReadHash(string(hash)); err != nil {
			panic(err)
		}
	}
	var err error
	if all["dave"], err = password.ReadPlain(passwords["dave"]); err != nil {
		panic(err)
	}
	return all
})

func newInn(t testing.TB) *inn {
	t.Helper()
	index := &verify.Index{}
	h := &inn{
		t: t, clock: &clock{now: opened}, index: index, people: &login.Directory{}, audit: &audit{}, ended: &results{},
		books: &ledger{index: index, held: map[token.Digest]record.Record{}},
	}
	h.desk = &counter{t: t, books: h.books, now: h.clock.read, ceilings: map[string]grant.Ceiling{}, drawer: map[string]*kept{}, used: map[verify.ID]bool{}}
	for _, c := range clients {
		h.desk.ceilings[c.Name] = grant.NewCeiling(roles[c.Name])
		h.index.SetClient(verify.Client{Name: c.Name, AccountID: c.AccountID, Suspended: c.Suspended, Ceiling: h.desk.ceilings[c.Name]})
		c.Remembered, c.Refresh, c.Idle, c.MaxSessions = 14*24*time.Hour, 30*24*time.Hour, 30*time.Minute, 20
		if c.Lifetime == 0 {
			c.Lifetime = time.Hour
		}
		h.people.SetClient(c)
	}
	for name := range passwords {
		u := login.User{Name: name, UID: "uid of " + name, Username: usernames[name], Suspended: name == "bob", Password: stored()[name], Credential: "one"}
		for i, at := range accounts[name] {
			u.Accounts = append(u.Accounts, login.Account{Client: at, Default: i == 0})
		}
		h.people.SetUser(u)
		h.tellIndex(u)
		h.index.Resume(record.Owner{Kind: login.OwnerKind, Name: name, UID: u.UID})
	}
	verifier := verify.NewVerifier(index, h.books, verify.Options{Reads: 1000, Now: h.clock.read, Lookups: func(verify.Lookup) {}})
	verifier.Heard()
	h.Doors = &server.Doors{
		Budget:   server.NewBudget(server.BudgetOptions{PerCaller: 1 << 20}), // clocks stand still
		Verifier: verifier, Records: h.books, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Audit: h.audit.log(t, h.clock.read), Log: h.audit.logger(), Now: h.clock.read, Desk: h.desk, Counted: h.ended.note,
		Metrics: server.NewMetrics(
			prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers"}, []string{"endpoint", "result"}),
			prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "durations"}, []string{"endpoint"}),
		),
		Logins: login.NewService(login.Options{
			Directory: h.people, Records: h.books, Ended: verifier.End, Replayed: func(login.User, record.Record, netip.Addr) {}, Checks: 2, Entropy: rand.Reader, Now: h.clock.read,
		}),
	}
	for _, text := range passwords {
		h.secrets = append(h.secrets, text)
	}
	return h
}

// tellIndex adds a user to the index.
func (h *inn) tellIndex(u login.User) {
	h.index.SetUser(verify.User{Name: u.Name, Username: u.Username, UID: u.UID, Suspended: u.Suspended, Credential: u.Credential, Accounts: has[u.Name]})
}

// open serves the endpoints over the network.
func (h *inn) open(over func(http.Handler) *httptest.Server) {
	s := over(h.Handler())
	h.t.Cleanup(s.Close)
	h.url = s.URL
}

// newOpenInn returns a fixture that serves HTTP without TLS.
func newOpenInn(t testing.TB) *inn {
	t.Helper()
	h := newInn(t)
	h.open(httptest.NewServer)
	return h
}
