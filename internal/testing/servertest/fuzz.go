package servertest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// TokenPlaceholder stands for the valid token in fuzzed input, so that the fuzzer cannot write one
// itself. It has the length of a token, since some inputs hold lengths.
const TokenPlaceholder = "{here goes the valid token, which no fuzzer may know.}"

// FuzzServer is a test server for fuzzing, with one valid token of the client all, which may
// search and introspect. A second token is well-formed and was never issued: it must not show up
// anywhere.
type FuzzServer struct {
	*server.Endpoints
	T                        testing.TB
	ValidToken, unknownToken string
	Store                    *RevocationStore
	AuditLog                 *AuditRecorder
}

// NewFuzzServer returns a FuzzServer over the index of w, in which the valid token is the only one.
// The token has the source ranges.
func NewFuzzServer(t testing.TB, w *verifytest.Fixture, ranges ...string) *FuzzServer {
	t.Helper()
	minted := verifytest.Mint(t, token.Application, "good")
	r := record.Record{
		Kind: token.Application, Digest: minted.Digest(), Client: "all", Permissions: []string{"search.*", "sec.token.introspect"},
		Owner: record.Owner{Kind: "ApplicationToken", Namespace: "shop", Name: "indexer", UID: "uid"}, SourceRanges: ranges,
	}
	h := &FuzzServer{
		T: t, ValidToken: minted.Reveal(), unknownToken: UnknownTokenMark(t), AuditLog: &AuditRecorder{},
		Store: &RevocationStore{Records: map[token.Digest]record.Record{r.Digest: r}},
	}
	for _, other := range w.Records {
		w.Index.Remove(other.Digest)
	}
	w.Index.Remove(r.Digest) // the last input may have revoked it
	w.Index.Set(r)
	w.Index.Enable(r.Owner)
	now := func() time.Time { return time.Unix(1768478400, 0) }
	verifier := newVerifier(w.Index, h.Store, now)
	h.Endpoints = &server.Endpoints{
		Base:      newBase(t, verifier, h.AuditLog, now),
		Records:   h.Store,
		Audiences: []string{"api"},
	}
	return h
}

// UnknownTokenMark returns the token that was never issued.
func UnknownTokenMark(t testing.TB) string {
	return verifytest.Mint(t, token.Application, "marked").Reveal()
}

// Fill puts the valid token in place of its placeholder.
func (h *FuzzServer) Fill(s string) string {
	return strings.ReplaceAll(s, TokenPlaceholder, h.ValidToken)
}

// Ask passes a request to a handler, past the checks of net/http.
func (h *FuzzServer) Ask(handler http.Handler, method, path, query string, header http.Header, body string) Response {
	h.T.Helper()
	r := httptest.NewRequest(method, path, io.NopCloser(strings.NewReader(body)))
	maps.Copy(r.Header, header)
	r.URL.RawQuery, r.RemoteAddr = query, "127.0.0.1:1"
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	got := Response{w.Code, w.Header(), w.Body.String()}
	h.CheckNoToken(got)
	return got
}

// FuzzAuditLine matches the lines that the audit log may have. Only addresses are taken from a
// request.
var FuzzAuditLine = regexp.MustCompile(`^\{"time":"2026[^"]+","logger":"audit","event":"(credential\.(refused|revoked_use)|token\.revoked)"(,"(endpoint|verdict|kind|sourceUnknown)":"\w+"|,"(source|peer)":"[0-9a-f.:]+"|,"(token|by)":"at-[0-9a-f]{32}"|,"subject":"shop/indexer"|,"client":"all"|,"count":\d+)*\}$`)

// CheckNoToken fails if the audit log or a response holds a token.
func (h *FuzzServer) CheckNoToken(got Response) {
	h.T.Helper()
	for line := range strings.Lines(h.AuditLog.Text()) {
		if !FuzzAuditLine.MatchString(strings.TrimSpace(line)) {
			h.T.Errorf("the audit log says %s", line)
		}
	}
	answer := fmt.Sprint(got.Header, got.Body)
	for name, tok := range map[string]string{"good": h.ValidToken, "marked": h.unknownToken} {
		if strings.Contains(answer, tok) || strings.Contains(answer, tok[4:40]) {
			h.T.Errorf("the %s token is in the answer %s", name, answer)
		}
	}
}

// ExpectOneOf fails unless a response equals one of answers, byte for byte, and so echoes nothing.
func (h *FuzzServer) ExpectOneOf(got Response, answers ...string) {
	h.T.Helper()
	if text := ResponseLine(got); !slices.Contains(answers, text) {
		h.T.Errorf("an answer that is none: %s", text)
	}
}

// ResponseLine returns a response in one line.
func ResponseLine(r Response) string {
	var names []string
	for name, values := range r.Header {
		names = append(names, name+"="+strings.Join(values, "|"))
	}
	slices.Sort(names)
	return fmt.Sprintf("%d %s %s", r.Status, strings.Join(names, ";"), strings.TrimSpace(r.Body))
}

// The responses of forward auth, as ResponseLine writes them.
const (
	browserHeaders   = "Cache-Control=no-store;Content-Security-Policy=default-src 'none'; frame-ancestors 'none';Content-Type=application/json;"
	nosniffHeader    = "X-Content-Type-Options=nosniff "
	ErrorHeaders     = browserHeaders + nosniffHeader
	challengeHeaders = browserHeaders + "Www-Authenticate="

	basicChallenge = `Basic realm="apptoken", charset="UTF-8";`

	passedFormat = `200 Cache-Control=no-store;X-Apptoken-Client=all;X-Apptoken-Kind=Application;X-Apptoken-Permissions=search.*,sec.token.introspect;` +
		`X-Apptoken-Roles=;X-Apptoken-Subject=shop/indexer;X-Apptoken-Token-Id=%s;X-Apptoken-User= `
	UnreadableLine   = `400 ` + ErrorHeaders + `{"error":"invalid_request","error_description":"the query cannot be read"}`
	NoCredentialLine = `401 ` + challengeHeaders + `Bearer realm="apptoken"|` + basicChallenge + nosniffHeader + `{"error":"unauthorized","error_description":"a token is required"}`
	PasswordLine     = `401 ` + challengeHeaders + basicChallenge + nosniffHeader + `{"error":"unauthorized","error_description":"the name and the password are not accepted"}`
	RefusedLine      = `401 ` + challengeHeaders + `Bearer realm="apptoken", error="invalid_token";` + nosniffHeader + `{"error":"invalid_token","error_description":"the token is not accepted"}`
	ForbiddenLine    = `403 ` + challengeHeaders + `Bearer realm="apptoken", error="insufficient_scope";` + nosniffHeader + `{"error":"insufficient_scope","error_description":"the token is valid, and lacks what is required here"}`
)

// PassedLine returns the response to a request with the valid token.
func (h *FuzzServer) PassedLine() string {
	_, digest, _ := token.DigestOf(h.ValidToken)
	return fmt.Sprintf(passedFormat, digest.RecordName())
}
