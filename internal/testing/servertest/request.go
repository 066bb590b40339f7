package server_test

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// Requests to the test server, and checks of its responses.

// requestOption is an option of a test request.
type requestOption func(*http.Request)

// call is send, and checks the response against the OpenAPI document.
func (h *loginFixture) call(method, path string, parts ...requestOption) httpResponse {
	h.t.Helper()
	got := h.send(method, path, parts...)
	if at, err := url.ParseRequestURI(path); err == nil {
		h.checkConformance(method, at.Path, got)
	}
	return got
}

// send sends a request from 192.0.2.7.
func (h *loginFixture) send(method, path string, parts ...requestOption) httpResponse {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.7")
	for _, p := range parts {
		p(req)
	}
	res, err := client.RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	got := httpResponse{res.StatusCode, res.Header, string(text)}
	for _, secret := range passwords {
		if strings.Contains(got.body, secret) {
			h.t.Errorf("%s %s: a password is in %s", method, path, got.body)
		}
	}
	return got
}

// client follows no redirect, decompresses nothing and accepts any certificate.
var client = &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}

// checkNoSecretInAudit fails if the audit log holds a secret or the marker.
func (h *loginFixture) checkNoSecretInAudit() {
	h.t.Helper()
	said := h.audit.text()
	for _, secret := range append(h.secrets, marker) {
		if strings.Contains(said, secret) || len(secret) > 50 && strings.Contains(said, secret[4:40]) {
			h.t.Errorf("the audit log has %q: %s", secret, said)
		}
	}
}

// isValid reports whether /verify accepts a token.
func (h *loginFixture) isValid(tok string, parts ...requestOption) bool {
	h.t.Helper()
	return h.call(http.MethodGet, "/verify", append([]requestOption{bearer(tok)}, parts...)...).status == http.StatusOK
}

// read decodes the members of a body.
func (h *loginFixture) read(r httpResponse) (members map[string]any) {
	h.t.Helper()
	if err := json.Unmarshal([]byte(r.body), &members); err != nil {
		h.t.Fatalf("%v in %q", err, r.body)
	}
	return members
}

// keys returns the keys of a body with their paths; for a list, those of its first element.
func (h *loginFixture) keys(r httpResponse) string {
	h.t.Helper()
	members := h.read(r)
	if list, is := members["data"].([]any); is && len(list) > 0 {
		members["data"] = list[0]
	}
	return strings.Join(jsonPaths("", members), " ")
}

// token returns the token in a response, and remembers it as a secret.
func (h *loginFixture) token(r httpResponse, keys ...string) string {
	h.t.Helper()
	text := r.header.Get("X-Security-Token")
	if len(keys) > 0 {
		text, _ = h.read(r)[keys[0]].(string)
	}
	if r.status != http.StatusOK || text == "" {
		h.t.Fatalf("no token: %d %v %s", r.status, r.header, r.body)
	}
	h.secrets = append(h.secrets, text)
	return text
}

// login returns a token of a user, at an account or at the user's default one.
func (h *loginFixture) login(user string, account ...string) string {
	h.t.Helper()
	fields := credentialFields(user)
	for _, id := range account {
		fields = append(fields, "account_id", id)
	}
	return h.token(h.call(http.MethodPost, "/auth/login", formBody(fields...)), "token")
}

// createToken creates a token with the management service.
func (h *loginFixture) createToken(s management.Scope, w management.TokenSpec) string {
	h.t.Helper()
	issued, err := h.management.Create(h.t.Context(), management.Caller{CanEscalate: true}, s, w)
	if err != nil {
		h.t.Fatal(err)
	}
	h.secrets = append(h.secrets, issued.Secret.Reveal())
	return issued.Secret.Reveal()
}

// appToken returns a token of the client acme, with roles, or with permissions where a name has a
// dot.
func (h *loginFixture) appToken(grants ...string) string {
	h.t.Helper()
	w := management.TokenSpec{Name: "app" + strings.Join(grants, "")}
	for _, name := range grants {
		if strings.Contains(name, ".") {
			w.Permissions = append(w.Permissions, name)
		} else {
			w.Roles = append(w.Roles, name)
		}
	}
	return h.createToken(management.Scope{Client: "acme"}, w)
}

// unknownToken returns a token that was never issued.
func (h *loginFixture) unknownToken() string {
	minted, err := token.Mint(token.Login, rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	return minted.Reveal()
}

// staleVerifier returns a verifier that has had no contact with the store.
func staleVerifier(h *loginFixture) *verify.Verifier {
	return verify.NewVerifier(h.index, h.store, verify.Options{LookupsPerSecond: 1000, Now: h.clock.current, OnLookup: func(verify.Lookup) {}})
}
