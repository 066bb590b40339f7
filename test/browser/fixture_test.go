package browser_test

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/apptoken/operator/internal/server/ui"
)

//go:embed testdata/openapi.json
var openAPIDocument []byte

// The one user of the fixture, and the token that a login returns.
const (
	fixtureUser     = "ada"
	fixturePassword = "correct horse"
	fixtureToken    = "token-of-ada"
)

// fixture is a server with the API UI and two operations. It records the requests for a token.
type fixture struct {
	url string

	mu     sync.Mutex
	logins []loginRequest
}

// loginRequest is one request for a token.
type loginRequest struct {
	form          url.Values
	authorization string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{}
	mux := http.NewServeMux()
	mux.Handle("/ui", ui.Handler())
	mux.Handle("/ui/", ui.Handler())
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, json.RawMessage(openAPIDocument)) })
	mux.HandleFunc("POST /oauth2/token", f.token)
	mux.HandleFunc("GET /whoami", func(w http.ResponseWriter, r *http.Request) {
		_, err := r.Cookie("SESSION")
		f.requireCredential(w, r, 200, map[string]any{"user": fixtureUser, "permission": r.FormValue("permission"), "cookie": err == nil})
	})
	mux.HandleFunc("POST /tokens", func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Name string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			writeJSON(w, 400, map[string]string{"error": "invalid_request"})
			return
		}
		f.requireCredential(w, r, 201, map[string]string{"issued": asked.Name})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fixture) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		writeJSON(w, 400, map[string]string{"error": "invalid_request"})
		return
	}
	f.mu.Lock()
	f.logins = append(f.logins, loginRequest{r.PostForm, r.Header.Get("Authorization")})
	f.mu.Unlock()
	if r.PostForm.Get("username") != fixtureUser || r.PostForm.Get("password") != fixturePassword {
		writeJSON(w, 400, map[string]string{"error": "invalid_grant", "error_description": "the name or the password is wrong"})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "SESSION", Value: fixtureToken, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	writeJSON(w, 200, map[string]any{"access_token": fixtureToken, "token_type": "Bearer", "expires_in": 3600})
}

// requireCredential answers a request that presents a credential, in any of the ways that the
// document describes.
func (f *fixture) requireCredential(w http.ResponseWriter, r *http.Request, status int, body any) {
	name, secret, _ := r.BasicAuth()
	switch {
	case r.Header.Get("Authorization") == "Bearer "+fixtureToken, r.Header.Get("X-Security-Token") == fixtureToken, name == fixtureUser && secret == fixturePassword:
		writeJSON(w, status, body)
	default:
		writeJSON(w, 401, map[string]string{"error": "invalid_token"})
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	text, _ := json.Marshal(body)
	_, _ = w.Write(text)
}
