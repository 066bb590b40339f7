package servertest

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/cors"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// LoginServer is a test server with logins and management. Its clock moves only when a test moves
// it. It is behind a proxy that names the address of the caller.
type LoginServer struct {
	*server.Endpoints
	T            testing.TB
	Clock        *Clock
	Index        *verify.Index
	Store        *Store
	TokenService *TokenService
	Directory    *login.Directory
	AuditLog     *AuditRecorder
	LoginResults *LoginResults
	URL          string
	openAPI      string
	Secrets      []string // issued or in use: no log may hold them
}

// LoginResults records the results of logins.
type LoginResults struct {
	mu  sync.Mutex
	All []string
}

func (r *LoginResults) note(protocol, result string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.All = append(r.All, protocol+" "+result)
}

// Count returns how many logins had a result.
func (r *LoginResults) Count(result string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, each := range r.All {
		if strings.HasSuffix(each, " "+result) {
			n++
		}
	}
	return n
}

// NewUnstartedLoginServer returns a LoginServer without a network; see Serve.
func NewUnstartedLoginServer(t testing.TB) *LoginServer {
	t.Helper()
	index := &verify.Index{}
	h := &LoginServer{
		T: t, Clock: &Clock{now: StartTime}, Index: index, Directory: &login.Directory{}, AuditLog: &AuditRecorder{}, LoginResults: &LoginResults{},
		Store: &Store{index: index, records: map[token.Digest]record.Record{}},
	}
	h.TokenService = &TokenService{t: t, store: h.Store, now: h.Clock.Now, Ceilings: map[string]grant.Ceiling{}, Tokens: map[string]*ManagedToken{}, used: map[verify.ID]bool{}}
	for _, c := range clients {
		h.TokenService.Ceilings[c.Name] = grant.NewCeiling(Roles[c.Name])
		h.Index.SetClient(verify.Client{Name: c.Name, AccountID: c.AccountID, Suspended: c.Suspended, Ceiling: h.TokenService.Ceilings[c.Name]})
		c.RememberedLifetime, c.RefreshLifetime, c.IdleTimeout = 14*24*time.Hour, 30*24*time.Hour, 30*time.Minute
		c.Limits = login.Limits{MaxSessions: 20, MaxSessionTokens: 20, MaxOpenTokens: 20}
		if c.LoginLifetime == 0 {
			c.LoginLifetime = time.Hour
		}
		h.Directory.SetClient(c)
	}
	for name := range Passwords {
		u := login.User{Name: name, UID: "uid of " + name, Username: Usernames[name], Suspended: name == "bob", Password: storedPasswords()[name], Credential: "one"}
		for i, at := range accounts[name] {
			u.Accounts = append(u.Accounts, login.Account{Client: at, Default: i == 0})
		}
		h.Directory.SetUser(u)
		h.IndexUser(u)
		h.Index.Enable(record.Owner{Kind: login.OwnerKindUser, Name: name, UID: u.UID})
	}
	verifier := newVerifier(index, h.Store, h.Clock.Now)
	h.Endpoints = &server.Endpoints{
		Base:          newBase(t, verifier, h.AuditLog, h.Clock.Now),
		Records:       h.Store,
		Management:    h.TokenService,
		OnLoginResult: h.LoginResults.note,
		Logins: login.NewService(login.Options{
			Directory: h.Directory, Records: h.Store, OnEnded: verifier.End, OnReplayed: func(login.User, record.Record, netip.Addr) {}, MaxConcurrentChecks: 2, Entropy: rand.Reader, Now: h.Clock.Now,
		}),
	}
	for _, text := range Passwords {
		h.Secrets = append(h.Secrets, text)
	}
	return h
}

// AllowBasic lets a client accept Basic authentication, or no longer.
func (h *LoginServer) AllowBasic(client string, allows bool) {
	c, _ := h.Directory.Client(client)
	h.Index.SetClient(verify.Client{Name: c.Name, AccountID: c.AccountID, Suspended: c.Suspended, Ceiling: h.TokenService.Ceilings[c.Name], AllowsBasic: allows})
}

// IndexUser adds a user to the index.
func (h *LoginServer) IndexUser(u login.User) {
	h.Index.SetUser(verify.User{Name: u.Name, Username: u.Username, UID: u.UID, Suspended: u.Suspended, Credential: u.Credential, Accounts: accountRoles[u.Name]})
}

// Serve serves the endpoints over the network.
func (h *LoginServer) Serve(over func(http.Handler) *httptest.Server) {
	s := over(h.Handler())
	h.T.Cleanup(s.Close)
	h.URL = s.URL
}

// NewCORSServer returns a LoginServer whose endpoints pages of these origins may call.
func NewCORSServer(t testing.TB, over func(http.Handler) *httptest.Server, origins ...string) *LoginServer {
	t.Helper()
	h := NewUnstartedLoginServer(t)
	allowed, err := cors.Parse(origins)
	if err != nil {
		t.Fatal(err)
	}
	h.Origins = allowed
	h.Serve(over)
	return h
}

// NewLoginServer returns a LoginServer that serves HTTP without TLS.
func NewLoginServer(t testing.TB) *LoginServer {
	t.Helper()
	h := NewUnstartedLoginServer(t)
	h.Serve(httptest.NewServer)
	return h
}
