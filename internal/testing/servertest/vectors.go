package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// fixture is a test server over the data of the verification vectors. Its clock stands still.
type fixture struct {
	*verifytest.Fixture
	*server.Endpoints
	t     *testing.T
	store *revocationStore
	audit *auditRecorder
	url   string
}

// auditRecorder records the lines of the audit log and of the operator's log.
type auditRecorder struct {
	mu        sync.Mutex
	lines     []string
	schemaErr error // schema violations of the audit log
}

// log returns an audit log whose lines are recorded and checked against the schema.
func (a *auditRecorder) log(t testing.TB, now func() time.Time) *auditlog.Log {
	t.Helper()
	t.Cleanup(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.schemaErr != nil {
			t.Error(a.schemaErr)
		}
	})
	return auditlog.New(a, now)
}

// Write implements io.Writer for one line at a time.
func (a *auditRecorder) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.schemaErr = errors.Join(a.schemaErr, auditlog.Check(line))
	a.lines = append(a.lines, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// events returns the lines of an event, decoded.
func (a *auditRecorder) events(t testing.TB, of auditlog.Event) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(a.text()) {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err == nil && got["event"] == string(of) {
			all = append(all, got)
		}
	}
	return all
}

func (a *auditRecorder) logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.lines = append(a.lines, prefix+args)
	}, funcr.Options{Verbosity: 10})
}

func (a *auditRecorder) text() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.lines, "\n")
}

// revocationStore is a fake record store that fails with a set error.
type revocationStore struct {
	mu      sync.Mutex
	records map[token.Digest]record.Record
	fail    error
}

func (s *revocationStore) Find(_ context.Context, d token.Digest) (record.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[d]
	switch {
	case s.fail != nil:
		return record.Record{}, s.fail
	case !ok:
		return record.Record{}, record.ErrGone
	}
	return r, nil
}

func (s *revocationStore) RetireAnyway(_ context.Context, r record.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	delete(s.records, r.Digest)
	return nil
}

// newFixture starts a test server. It trusts the test as a proxy.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	h := &fixture{Fixture: verifytest.Load(t), t: t, audit: &auditRecorder{}, store: &revocationStore{records: map[token.Digest]record.Record{}}}
	for name, r := range h.Fixture.Records {
		if _, verdict := h.Index.Verify(h.Fixture.Now, h.Tokens[name], verify.Facts{}); verdict != verify.Unknown {
			h.store.records[r.Digest] = r
		}
	}
	now := func() time.Time { return h.Fixture.Now }
	verifier := verify.NewVerifier(h.Index, h.store, verify.Options{LookupsPerSecond: 1000, Now: now, OnLookup: func(verify.Lookup) {}})
	verifier.MarkFresh()
	h.Endpoints = &server.Endpoints{
		Base: endpoint.Base{
			Budget: endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1 << 20}),
			// clocks stand still
			Verifier: verifier,
			Trusted:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			Audit:    h.audit.log(t, now),
			Log:      h.audit.logger(),
			Now:      now,
			Metrics: endpoint.NewMetrics(
				prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers"}, []string{"endpoint", "result"}),
				prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "durations"}, []string{"endpoint"}),
			),
		},
		Records: h.store,
	}
	mux := http.NewServeMux()
	mux.Handle("/", h.Handler())
	mux.Handle("/tokenreview", h.WebhookHandler())
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

// httpResponse is a response with its whole body.
type httpResponse struct {
	status int
	header http.Header
	body   string
}

func (h *fixture) do(method, path string, header http.Header, body string) httpResponse {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return httpResponse{res.StatusCode, res.Header, string(text)}
}

// post sends a form with the token of that name, or without a token if by is empty.
func (h *fixture) post(path, by string, form url.Values) httpResponse {
	h.t.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if by != "" {
		header.Set("Authorization", "Bearer "+h.Tokens[by])
	}
	return h.do(http.MethodPost, path, header, form.Encode())
}

// json decodes the body.
func (r httpResponse) json(t *testing.T) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.NewDecoder(bytes.NewBufferString(r.body)).Decode(&got); err != nil {
		t.Fatalf("%v in %q", err, r.body)
	}
	return got
}

// requirementsQuery returns the requirements of a vector as a query.
func requirementsQuery(v verifytest.Vector) string {
	q := url.Values{"permission": v.Requires.Permissions, "role": v.Requires.Roles, "client": v.Requires.Clients}
	return q.Encode()
}

// noLeak fails if a text holds a token or a digest of the vectors.
func (h *fixture) noLeak(where, text string) {
	h.t.Helper()
	for name, tok := range h.Tokens {
		if strings.Contains(text, tok) || strings.Contains(text, tok[4:40]) {
			h.t.Errorf("%s: the token %s is in it", where, name)
		}
		if digest := fmt.Sprintf("%x", h.Fixture.Records[name].Digest); strings.Contains(text, digest) {
			h.t.Errorf("%s: the digest of %s is in it", where, name)
		}
	}
}
