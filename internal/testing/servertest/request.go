package servertest

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

// Call is Send, and checks the response against the OpenAPI document.
func (h *LoginServer) Call(method, path string, parts ...RequestOption) Response {
	h.T.Helper()
	got := h.Send(method, path, parts...)
	if at, err := url.ParseRequestURI(path); err == nil {
		h.checkConformance(method, at.Path, got)
	}
	return got
}

// Send sends a request from 192.0.2.7.
func (h *LoginServer) Send(method, path string, parts ...RequestOption) Response {
	h.T.Helper()
	req, err := http.NewRequestWithContext(h.T.Context(), method, h.URL+path, nil)
	if err != nil {
		h.T.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.7")
	for _, p := range parts {
		p(req)
	}
	res, err := Transport.RoundTrip(req)
	if err != nil {
		h.T.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.T.Fatal(err)
	}
	got := Response{res.StatusCode, res.Header, string(text)}
	for _, secret := range Passwords {
		if strings.Contains(got.Body, secret) {
			h.T.Errorf("%s %s: a password is in %s", method, path, got.Body)
		}
	}
	return got
}

// Transport follows no redirect, decompresses nothing and accepts any certificate.
var Transport = &http.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}

// CheckNoSecretInAudit fails if the audit log holds a secret or the marker.
func (h *LoginServer) CheckNoSecretInAudit() {
	h.T.Helper()
	said := h.AuditLog.Text()
	for _, secret := range append(h.Secrets, PasswordMark) {
		if strings.Contains(said, secret) || len(secret) > 50 && strings.Contains(said, secret[4:40]) {
			h.T.Errorf("the audit log has %q: %s", secret, said)
		}
	}
}

// IsValid reports whether /verify accepts a token.
func (h *LoginServer) IsValid(tok string, parts ...RequestOption) bool {
	h.T.Helper()
	return h.Call(http.MethodGet, "/verify", append([]RequestOption{Bearer(tok)}, parts...)...).Status == http.StatusOK
}

// Members decodes the members of a body.
func (h *LoginServer) Members(r Response) (members map[string]any) {
	h.T.Helper()
	if err := json.Unmarshal([]byte(r.Body), &members); err != nil {
		h.T.Fatalf("%v in %q", err, r.Body)
	}
	return members
}

// Keys returns the keys of a body with their paths; for a list, those of its first element.
func (h *LoginServer) Keys(r Response) string {
	h.T.Helper()
	members := h.Members(r)
	if list, is := members["data"].([]any); is && len(list) > 0 {
		members["data"] = list[0]
	}
	return strings.Join(JSONPaths("", members), " ")
}

// TokenIn returns the token in a response, and remembers it as a secret.
func (h *LoginServer) TokenIn(r Response, keys ...string) string {
	h.T.Helper()
	text := r.Header.Get("X-Security-Token")
	if len(keys) > 0 {
		text, _ = h.Members(r)[keys[0]].(string)
	}
	if r.Status != http.StatusOK || text == "" {
		h.T.Fatalf("no token: %d %v %s", r.Status, r.Header, r.Body)
	}
	h.Secrets = append(h.Secrets, text)
	return text
}

// Login returns a token of a user, at an account or at the user's default one.
func (h *LoginServer) Login(user string, account ...string) string {
	h.T.Helper()
	fields := CredentialFields(user)
	for _, id := range account {
		fields = append(fields, "account_id", id)
	}
	return h.TokenIn(h.Call(http.MethodPost, "/auth/login", FormBody(fields...)), "token")
}

// CreateToken creates a token with the management service.
func (h *LoginServer) CreateToken(s management.Scope, w management.TokenSpec) string {
	h.T.Helper()
	issued, err := h.TokenService.Create(h.T.Context(), management.Caller{CanEscalate: true}, s, w)
	if err != nil {
		h.T.Fatal(err)
	}
	h.Secrets = append(h.Secrets, issued.Secret.Reveal())
	return issued.Secret.Reveal()
}

// AppToken returns a token of the client acme, with roles, or with permissions where a name has a
// dot.
func (h *LoginServer) AppToken(grants ...string) string {
	h.T.Helper()
	w := management.TokenSpec{Name: "app" + strings.Join(grants, "")}
	for _, name := range grants {
		if strings.Contains(name, ".") {
			w.Permissions = append(w.Permissions, name)
		} else {
			w.Roles = append(w.Roles, name)
		}
	}
	return h.CreateToken(management.Scope{Client: "acme"}, w)
}

// UnknownToken returns a token that was never issued.
func (h *LoginServer) UnknownToken() string {
	minted, err := token.Mint(token.Login, rand.Reader)
	if err != nil {
		h.T.Fatal(err)
	}
	return minted.Reveal()
}

// StaleVerifier returns a verifier that has had no contact with the store.
func (h *LoginServer) StaleVerifier() *verify.Verifier {
	return newStaleVerifier(h.Index, h.Store, h.Clock.Now)
}

// SpectrumSession returns a session token and its session ID.
func (h *LoginServer) SpectrumSession(minutes string) (tok, id string) {
	h.T.Helper()
	got := h.Call(http.MethodGet, PathSessionToken+minutes, Basic("alice"))
	tok = h.TokenIn(got, "access_token")
	id, _ = h.Members(got)["session"].(string)
	return tok, id
}
