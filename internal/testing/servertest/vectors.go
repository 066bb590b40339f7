package servertest

import (
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// VectorServer is a test server over the data of the verification vectors. Its clock stands still.
type VectorServer struct {
	*verifytest.Fixture
	*server.Endpoints
	T        *testing.T
	Store    *RevocationStore
	AuditLog *AuditRecorder
	URL      string

	answers *prometheus.CounterVec
}

// Answers returns how often an endpoint has given a verdict, by the metric that counts it.
func (h *VectorServer) Answers(endpoint, verdict string) float64 {
	h.T.Helper()
	var counted dto.Metric
	if err := h.answers.WithLabelValues(endpoint, verdict).Write(&counted); err != nil {
		h.T.Fatal(err)
	}
	return counted.GetCounter().GetValue()
}

// NewVectorServer starts a test server. It trusts the test as a proxy.
func NewVectorServer(t *testing.T) *VectorServer {
	t.Helper()
	h := &VectorServer{Fixture: verifytest.Load(t), T: t, AuditLog: &AuditRecorder{}, Store: &RevocationStore{Records: map[token.Digest]record.Record{}}}
	for name, r := range h.Fixture.Records {
		if _, verdict := h.Index.Verify(h.Fixture.Now, h.Tokens[name], verify.Facts{}); verdict != verify.Unknown {
			h.Store.Records[r.Digest] = r
		}
	}
	now := func() time.Time { return h.Fixture.Now }
	verifier := newVerifier(h.Index, h.Store, now)
	h.Endpoints = &server.Endpoints{
		Base:    newBase(t, verifier, h.AuditLog, now),
		Records: h.Store,
	}
	h.Passwords = newVectorLogins(t, h.Fixture, now)
	h.Metrics, h.answers = newMetrics()
	h.Trusted = append(h.Trusted, netip.MustParsePrefix("::1/128"))
	mux := http.NewServeMux()
	mux.Handle("/", h.Handler())
	mux.Handle("/tokenreview", h.WebhookHandler())
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	h.URL = s.URL
	return h
}

// newVectorLogins returns a service that checks the passwords of the vectors' users. It opens no
// logins. Its limits are those of a replica.
func newVectorLogins(t *testing.T, f *verifytest.Fixture, now func() time.Time) *login.Service {
	t.Helper()
	d := &login.Directory{}
	for _, c := range f.Clients {
		d.SetClient(login.Client{Name: c.Name, AccountID: c.AccountID, Suspended: c.Suspended})
	}
	for name, known := range f.Users {
		u := login.User{Name: name, UID: known.UID, Username: login.NormalizeUsername(known.Username), Suspended: known.Suspended, Credential: known.Credential}
		for _, client := range slices.Sorted(maps.Keys(known.Accounts)) {
			u.Accounts = append(u.Accounts, login.Account{Client: client, Default: client == f.DefaultAccounts[name]})
		}
		if text := f.UserPasswords[name]; text != "" {
			var err error
			if u.Password, err = password.ParsePlain(text); err != nil {
				t.Fatal(err)
			}
		}
		d.SetUser(u)
	}
	return login.NewService(login.Options{Directory: d, MaxConcurrentChecks: 2, Entropy: rand.Reader, Now: now})
}

// Do sends a request, and returns the response.
func (h *VectorServer) Do(method, path string, header http.Header, body string) Response {
	h.T.Helper()
	req, err := http.NewRequestWithContext(h.T.Context(), method, h.URL+path, strings.NewReader(body))
	if err != nil {
		h.T.Fatal(err)
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.T.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.T.Fatal(err)
	}
	return Response{res.StatusCode, res.Header, string(text)}
}

// Post sends a form with the token of that name, or without a token if by is empty.
func (h *VectorServer) Post(path, by string, form url.Values) Response {
	h.T.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if by != "" {
		header.Set("Authorization", "Bearer "+h.Tokens[by])
	}
	return h.Do(http.MethodPost, path, header, form.Encode())
}

// RequirementsQuery returns the requirements of a vector as a query.
func RequirementsQuery(v verifytest.Vector) string {
	q := url.Values{"permission": v.Requires.Permissions, "role": v.Requires.Roles, "client": v.Requires.Clients}
	return q.Encode()
}

// CheckNoLeak fails if a text holds a token or a digest of the vectors.
func (h *VectorServer) CheckNoLeak(where, text string) {
	h.T.Helper()
	for name, tok := range h.Tokens {
		if strings.Contains(text, tok) || strings.Contains(text, tok[4:40]) {
			h.T.Errorf("%s: the token %s is in it", where, name)
		}
		if digest := fmt.Sprintf("%x", h.Fixture.Records[name].Digest); strings.Contains(text, digest) {
			h.T.Errorf("%s: the digest of %s is in it", where, name)
		}
	}
}
