package server_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// tokenPlaceholder stands for the valid token in fuzzed input, so that the fuzzer cannot write one
// itself. It has the length of a token, since some inputs hold lengths.
const tokenPlaceholder = "{here goes the good token, which no fuzzer may know.}"

// fuzzFixture is a test server for fuzzing, with one valid token of the client all, which may
// search and introspect. A second token is well-formed and was never issued: it must not show up
// anywhere.
type fuzzFixture struct {
	*server.Endpoints
	t                        testing.TB
	validToken, unknownToken string
	store                    *revocationStore
	audit                    *auditRecorder
}

func newFuzzFixture(t testing.TB, w *verifytest.Fixture, ranges ...string) *fuzzFixture {
	t.Helper()
	minted := verifytest.Mint(t, token.Application, "good")
	r := record.Record{
		Kind: token.Application, Digest: minted.Digest(), Client: "all", Permissions: []string{"search.*", "sec.token.introspect"},
		Owner: record.Owner{Kind: "ApplicationToken", Namespace: "shop", Name: "indexer", UID: "uid"}, SourceRanges: ranges,
	}
	h := &fuzzFixture{
		t: t, validToken: minted.Reveal(), unknownToken: unknownTokenMark(t), audit: &auditRecorder{},
		store: &revocationStore{records: map[token.Digest]record.Record{r.Digest: r}},
	}
	for _, other := range w.Records {
		w.Index.Remove(other.Digest)
	}
	w.Index.Remove(r.Digest) // the last input may have revoked it
	w.Index.Set(r)
	w.Index.Enable(r.Owner)
	now := func() time.Time { return time.Unix(1768478400, 0) }
	verifier := verify.NewVerifier(w.Index, h.store, verify.Options{LookupsPerSecond: 1000, Now: now, OnLookup: func(verify.Lookup) {}})
	verifier.MarkFresh()
	h.Endpoints = &server.Endpoints{
		Base: endpoint.Base{
			Budget: endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1 << 20}),
			// clocks stand still
			Verifier: verifier,
			Trusted:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			Audit:    h.audit.log(t, now),
			Log:      h.audit.logger(),
			Now:      now,
			Metrics: endpoint.NewMetrics(
				prometheus.NewCounterVec(prometheus.CounterOpts{Name: "answers"}, []string{"endpoint", "result"}),
				prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "durations"}, []string{"endpoint"}),
			),
		},
		Records:   h.store,
		Audiences: []string{"api"},
	}
	return h
}

func unknownTokenMark(t testing.TB) string {
	return verifytest.Mint(t, token.Application, "marked").Reveal()
}

// fill puts the valid token in place of its placeholder.
func (h *fuzzFixture) fill(s string) string {
	return strings.ReplaceAll(s, tokenPlaceholder, h.validToken)
}

// ask passes a request to a handler, past the checks of net/http.
func (h *fuzzFixture) ask(handler http.Handler, method, path, query string, header http.Header, body string) httpResponse {
	h.t.Helper()
	r := httptest.NewRequest(method, path, io.NopCloser(strings.NewReader(body)))
	maps.Copy(r.Header, header)
	r.URL.RawQuery, r.RemoteAddr = query, "127.0.0.1:1"
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	got := httpResponse{w.Code, w.Header(), w.Body.String()}
	h.checkNoToken(got)
	return got
}

// fuzzAuditLine matches the lines that the audit log may have. Only addresses are taken from a
// request.
var fuzzAuditLine = regexp.MustCompile(`^\{"time":"2026[^"]+","logger":"audit","event":"(credential\.(refused|revoked_use)|token\.revoked)"(,"(endpoint|verdict|kind|sourceUnknown)":"\w+"|,"(source|peer)":"[0-9a-f.:]+"|,"(token|by)":"at-[0-9a-f]{32}"|,"subject":"shop/indexer"|,"client":"all"|,"count":\d+)*\}$`)

// checkNoToken fails if the audit log or a response holds a token.
func (h *fuzzFixture) checkNoToken(got httpResponse) {
	h.t.Helper()
	for line := range strings.Lines(h.audit.text()) {
		if !fuzzAuditLine.MatchString(strings.TrimSpace(line)) {
			h.t.Errorf("the audit log says %s", line)
		}
	}
	answer := fmt.Sprint(got.header, got.body)
	for name, tok := range map[string]string{"good": h.validToken, "marked": h.unknownToken} {
		if strings.Contains(answer, tok) || strings.Contains(answer, tok[4:40]) {
			h.t.Errorf("the %s token is in the answer %s", name, answer)
		}
	}
}

// expectOneOf fails unless a response equals one of answers, byte for byte, and so echoes nothing.
func (h *fuzzFixture) expectOneOf(got httpResponse, answers ...string) {
	h.t.Helper()
	if text := responseLine(got); !slices.Contains(answers, text) {
		h.t.Errorf("an answer that is none: %s", text)
	}
}

// responseLine returns a response in one line.
func responseLine(r httpResponse) string {
	var names []string
	for name, values := range r.header {
		names = append(names, name+"="+strings.Join(values, "|"))
	}
	slices.Sort(names)
	return fmt.Sprintf("%d %s %s", r.status, strings.Join(names, ";"), strings.TrimSpace(r.body))
}

// listenerFixture is a test server on the product's own listeners.
type listenerFixture struct {
	*fixture
	address, reviewAddress, gatewayAddress string // addresses
	stop                                   func() // stops them
}

func newListenerFixture(t *testing.T) *listenerFixture {
	t.Helper()
	s := &listenerFixture{fixture: newFixture(t)}
	var stops []func()
	for at, handler := range map[*string]http.Handler{&s.address: s.Handler(), &s.reviewAddress: s.WebhookHandler(), &s.gatewayAddress: s.GRPC()} {
		l, stop, ended := listen(t, handler, s.audit.logger())
		*at = l.Addr().String()
		stops = append(stops, func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	s.stop = func() {
		for _, stop := range stops {
			stop()
		}
	}
	return s
}

var dateHeader = regexp.MustCompile(`Date: [^\r]*\r\n`)

// send writes bytes over a connection of its own, and returns what the server sends until it closes
// the connection, without the date. If half is set, it closes its own side of the connection.
func (s *listenerFixture) send(request string, half bool) (httpResponse, string) {
	s.t.Helper()
	address := s.address
	if strings.Contains(request, "/tokenreview") {
		address = s.reviewAddress
	}
	conn, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_, _ = io.WriteString(conn, request) // a bad request is cut off
		if half {
			conn.(*net.TCPConn).CloseWrite()
		}
	}()
	wire, _ := io.ReadAll(conn)
	s.noLeak("the answer", string(wire))
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(wire))), nil)
	if err != nil {
		return httpResponse{}, string(wire) // the connection was closed without a response
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	for _, name := range []string{"Server", "X-Powered-By", "Via"} {
		if res.Header.Get(name) != "" {
			s.t.Errorf("an answer has %s: %s", name, res.Header.Get(name))
		}
	}
	// net/http itself writes errors in text/plain, about requests that it cannot parse.
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") && res.Header.Get("Cache-Control") != "no-store" {
		s.t.Errorf("an answer may be stored: %s", wire)
	}
	return httpResponse{res.StatusCode, res.Header, string(text)}, dateHeader.ReplaceAllString(string(wire), "")
}

// getRequest and post return requests with more headers. chunked returns a post without a
// Content-Length.
func getRequest(target string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
}

func postRequest(path, kind, body string, headers ...string) string {
	headers = append(headers, "Content-Type: "+kind, fmt.Sprintf("Content-Length: %d", len(body)))
	return "POST" + strings.TrimPrefix(getRequest(path, headers...), "GET") + body
}

func chunkedRequest(path, kind, body string) string {
	head := strings.TrimPrefix(getRequest(path, "Content-Type: "+kind, "Transfer-Encoding: chunked"), "GET")
	return "POST" + head + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

const urlencoded = "application/x-www-form-urlencoded"

func reviewOf(spec string) string {
	return `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{` + spec + `}}`
}

// dial returns a client of the ext_authz endpoint.
func (s *listenerFixture) dial() authv3.AuthorizationClient {
	s.t.Helper()
	conn, err := grpc.NewClient(s.gatewayAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return authv3.NewAuthorizationClient(conn)
}

func checkRequestWith(headers map[string]string, more ...*corev3.HeaderValue) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Headers: headers, HeaderMap: &corev3.HeaderMap{Headers: more}},
	}}}
}

func TestListener_LeavesNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("while it lasts", func(t *testing.T) {
		s := newListenerFixture(t)
		for range 20 {
			s.send(getRequest("/verify", "X-Security-Token: "+s.Tokens["unlisted"]), false)
			s.send(postRequest("/oauth2/introspect", urlencoded, "token=")[:40], true)
			if _, err := s.dial().Check(t.Context(), checkRequestWith(nil)); err != nil {
				t.Error(err)
			}
		}
		s.noLeak("the log", s.audit.text())
	})
	http.DefaultClient.CloseIdleConnections()
	tick, late := time.NewTicker(time.Millisecond), time.NewTimer(5*time.Second)
	defer tick.Stop()
	defer late.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-late.C:
			stacks := make([]byte, 64<<10)
			t.Fatalf("%d go on, and there were %d: %s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestListener_SpeaksHTTP2WithPriorKnowledge(t *testing.T) {
	s := newListenerFixture(t)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	for target, want := range map[string]int{
		"http://" + s.address + "/verify": 200, "http://" + s.address + "/oauth2/introspect": 405, "http://" + s.reviewAddress + "/tokenreview": 405,
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		req.Header.Set("Authorization", "Bearer "+s.Tokens["indexer"])
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.ProtoMajor != 2 || res.StatusCode != want || res.Header.Get("Server") != "" {
			t.Errorf("%s: %s %d %v", target, res.Proto, res.StatusCode, res.Header)
		}
		s.noLeak("the answer", fmt.Sprint(res.Header, string(text)))
	}
}
