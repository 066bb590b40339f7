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
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// loginFixture is a test server with logins and management. Its clock moves only when a test moves
// it. It is behind a proxy that names the address of the caller.
type loginFixture struct {
	*server.Endpoints
	t          testing.TB
	clock      *manualClock
	index      *verify.Index
	store      *fakeStore
	management *fakeManagement
	directory  *login.Directory
	audit      *auditRecorder
	results    *loginResults
	url        string
	openAPI    string
	secrets    []string // issued or in use: no log may hold them
}

type manualClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *manualClock) current() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// loginResults records the results of logins.
type loginResults struct {
	mu  sync.Mutex
	all []string
}

func (r *loginResults) note(protocol, result string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, protocol+" "+result)
}

// count returns how many logins had a result.
func (r *loginResults) count(result string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, each := range r.all {
		if strings.HasSuffix(each, " "+result) {
			n++
		}
	}
	return n
}

// fixtureTime is the time of the fixture's clock at first.
var fixtureTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

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

// accountRoles are the roles of the users at each client.
var accountRoles = map[string]map[string][]string{
	"alice": {"acme": {"developer", "client~primary"}, "umbrella": {"reader"}, "hushed": {"reader"}, "frozen": {"reader"}},
	"bob":   {"acme": {"developer"}}, "carol": {}, "dave": {"acme": {"reader"}}, "erin": {"umbrella": {"developer"}},
}

// clients are the clients that users log in at.
var clients = []login.Client{
	{Name: "acme", AccountID: 1001, OpenPolicy: login.OpenExpiring}, {Name: "umbrella", AccountID: 2002, OpenPolicy: login.OpenAllowed, LoginLifetime: 4 * 24 * time.Hour},
	{Name: "hushed", AccountID: 3003, OpenPolicy: login.OpenForbidden}, {Name: "frozen", AccountID: 4004, Suspended: true},
}

// storedPasswords returns the stored passwords. Hashing takes a while, so it is done once.
var storedPasswords = sync.OnceValue(func() map[string]password.Stored {
	all := map[string]password.Stored{}
	for name, text := range passwords {
		hash, err := bcrypt.GenerateFromPassword([]byte(text), bcrypt.MinCost)
		if err != nil {
			panic(err)
		}
		if all[name], err = password.ParseHash(string(hash)); err != nil {
			panic(err)
		}
	}
	var err error
	if all["dave"], err = password.ParsePlain(passwords["dave"]); err != nil {
		panic(err)
	}
	return all
})

func newLoginFixture(t testing.TB) *loginFixture {
	t.Helper()
	index := &verify.Index{}
	h := &loginFixture{
		t: t, clock: &manualClock{now: fixtureTime}, index: index, directory: &login.Directory{}, audit: &auditRecorder{}, results: &loginResults{},
		store: &fakeStore{index: index, records: map[token.Digest]record.Record{}},
	}
	h.management = &fakeManagement{t: t, store: h.store, now: h.clock.current, ceilings: map[string]grant.Ceiling{}, tokens: map[string]*fakeToken{}, used: map[verify.ID]bool{}}
	for _, c := range clients {
		h.management.ceilings[c.Name] = grant.NewCeiling(roles[c.Name])
		h.index.SetClient(verify.Client{Name: c.Name, AccountID: c.AccountID, Suspended: c.Suspended, Ceiling: h.management.ceilings[c.Name]})
		c.RememberedLifetime, c.RefreshLifetime, c.IdleTimeout, c.MaxSessions = 14*24*time.Hour, 30*24*time.Hour, 30*time.Minute, 20
		if c.LoginLifetime == 0 {
			c.LoginLifetime = time.Hour
		}
		h.directory.SetClient(c)
	}
	for name := range passwords {
		u := login.User{Name: name, UID: "uid of " + name, Username: usernames[name], Suspended: name == "bob", Password: storedPasswords()[name], Credential: "one"}
		for i, at := range accounts[name] {
			u.Accounts = append(u.Accounts, login.Account{Client: at, Default: i == 0})
		}
		h.directory.SetUser(u)
		h.indexUser(u)
		h.index.Enable(record.Owner{Kind: login.OwnerKindUser, Name: name, UID: u.UID})
	}
	verifier := verify.NewVerifier(index, h.store, verify.Options{LookupsPerSecond: 1000, Now: h.clock.current, OnLookup: func(verify.Lookup) {}})
	verifier.MarkFresh()
	h.Endpoints = &server.Endpoints{
		Base: endpoint.Base{
			Budget: endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1 << 20}),
			// clocks stand still
			Verifier: verifier,
			Trusted:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			Audit:    h.audit.log(t, h.clock.current),
			Log:      h.audit.logger(),
			Now:      h.clock.current,
			Metrics: endpoint.NewMetrics(
				prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers"}, []string{"endpoint", "result"}),
				prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "durations"}, []string{"endpoint"}),
			),
		},
		Records:       h.store,
		Management:    h.management,
		OnLoginResult: h.results.note,
		Logins: login.NewService(login.Options{
			Directory: h.directory, Records: h.store, OnEnded: verifier.End, OnReplayed: func(login.User, record.Record, netip.Addr) {}, MaxConcurrentChecks: 2, Entropy: rand.Reader, Now: h.clock.current,
		}),
	}
	for _, text := range passwords {
		h.secrets = append(h.secrets, text)
	}
	return h
}

// indexUser adds a user to the index.
func (h *loginFixture) indexUser(u login.User) {
	h.index.SetUser(verify.User{Name: u.Name, Username: u.Username, UID: u.UID, Suspended: u.Suspended, Credential: u.Credential, Accounts: accountRoles[u.Name]})
}

// serve serves the endpoints over the network.
func (h *loginFixture) serve(over func(http.Handler) *httptest.Server) {
	s := over(h.Handler())
	h.t.Cleanup(s.Close)
	h.url = s.URL
}

// newLoginServer returns a fixture that serves HTTP without TLS.
func newLoginServer(t testing.TB) *loginFixture {
	t.Helper()
	h := newLoginFixture(t)
	h.serve(httptest.NewServer)
	return h
}
