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
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// house is a test server over the data of the verification vectors. Its clock stands still.
type house struct {
	*verifytest.World
	*server.Doors
	t     *testing.T
	store *records
	audit *audit
	url   string
}

// audit records the lines of the audit log and of the operator's log.
type audit struct {
	mu    sync.Mutex
	lines []string
	wrong error // schema violations of the audit log
}

// log returns an audit log whose lines are recorded and checked against the schema.
func (a *audit) log(t testing.TB, now func() time.Time) *auditlog.Log {
	t.Helper()
	t.Cleanup(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.wrong != nil {
			t.Error(a.wrong)
		}
	})
	return auditlog.New(a, now)
}

// Write implements io.Writer for one line at a time.
func (a *audit) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wrong = errors.Join(a.wrong, auditlog.Check(line))
	a.lines = append(a.lines, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// events returns the lines of an event, decoded.
func (a *audit) events(t testing.TB, of auditlog.Event) []map[string]any {
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

func (a *audit) logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.lines = append(a.lines, prefix+args)
	}, funcr.Options{Verbosity: 10})
}

func (a *audit) text() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.lines, "\n")
}

// records is a fake record store that fails with a set error.
type records struct {
	mu   sync.Mutex
	held map[token.Digest]record.Record
	fail error
}

func (s *records) Find(_ context.Context, d token.Digest) (record.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.held[d]
	switch {
	case s.fail != nil:
		return record.Record{}, s.fail
	case !ok:
		return record.Record{}, record.ErrGone
	}
	return r, nil
}

func (s *records) RetireAnyway(_ context.Context, r record.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	delete(s.held, r.Digest)
	return nil
}

// newHouse starts a test server. It trusts the test as a proxy.
func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{World: verifytest.Load(t), t: t, audit: &audit{}, store: &records{held: map[token.Digest]record.Record{}}}
	for name, r := range h.World.Records {
		if _, verdict := h.Index.Verify(h.World.Now, h.Tokens[name], verify.Facts{}); verdict != verify.Unknown {
			h.store.held[r.Digest] = r
		}
	}
	now := func() time.Time { return h.World.Now }
	verifier := verify.NewVerifier(h.Index, h.store, verify.Options{Reads: 1000, Now: now, Lookups: func(verify.Lookup) {}})
	verifier.Heard()
	h.Doors = &server.Doors{
		Budget:   server.NewBudget(server.BudgetOptions{PerCaller: 1 << 20}), // clocks stand still
		Verifier: verifier,
		Records:  h.store,
		Trusted:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Audit:    h.audit.log(t, now), Log: h.audit.logger(), Now: now,
		Metrics: server.NewMetrics(
			prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers"}, []string{"endpoint", "result"}),
			prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "durations"}, []string{"endpoint"}),
		),
	}
	mux := http.NewServeMux()
	mux.Handle("/", h.Handler())
	mux.Handle("/tokenreview", h.WebhookHandler())
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

// reply is a response with its whole body.
type reply struct {
	status int
	header http.Header
	body   string
}

func (h *house) do(method, path string, header http.Header, body string) reply {
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
	return reply{res.StatusCode, res.Header, string(text)}
}

// post sends a form with the token of that name, or without a token if by is empty.
func (h *house) post(path, by string, form url.Values) reply {
	h.t.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if by != "" {
		header.Set("Authorization", "Bearer "+h.Tokens[by])
	}
	return h.do(http.MethodPost, path, header, form.Encode())
}

// json decodes the body.
func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.NewDecoder(bytes.NewBufferString(r.body)).Decode(&got); err != nil {
		t.Fatalf("%v in %q", err, r.body)
	}
	return got
}

// query returns the requirements of a vector as a query.
func query(v verifytest.Vector) string {
	q := url.Values{"permission": v.Requires.Permissions, "role": v.Requires.Roles, "client": v.Requires.Clients}
	return q.Encode()
}

// noLeak fails if a text holds a token or a digest of the vectors.
func (h *house) noLeak(where, text string) {
	h.t.Helper()
	for name, tok := range h.Tokens {
		if strings.Contains(text, tok) || strings.Contains(text, tok[4:40]) {
			h.t.Errorf("%s: the token %s is in it", where, name)
		}
		if digest := fmt.Sprintf("%x", h.World.Records[name].Digest); strings.Contains(text, digest) {
			h.t.Errorf("%s: the digest of %s is in it", where, name)
		}
	}
}
