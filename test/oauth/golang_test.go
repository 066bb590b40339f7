package oauth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// httpContext returns a context whose HTTP client trusts the test server.
func (h *server) httpContext() context.Context {
	h.T.Helper()
	text, err := os.ReadFile(h.ca)
	if err != nil {
		h.T.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	return context.WithValue(h.T.Context(), oauth2.HTTPClient, trusting)
}

// errorCode returns the code of an error of the token endpoint.
func errorCode(err error) string {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return "none"
	}
	return refused.ErrorCode
}

// scopeOf returns the scope of a token.
func scopeOf(t *oauth2.Token) string {
	scope, _ := t.Extra("scope").(string)
	return scope
}

// get sends a GET, and returns the status and the issuer in the response.
func (h *server) get(c *http.Client, url string) (status int, issuer string) {
	h.T.Helper()
	req, err := http.NewRequestWithContext(h.T.Context(), http.MethodGet, url, nil)
	if err != nil {
		h.T.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		h.T.Fatal(err)
	}
	defer res.Body.Close()
	var said struct{ Issuer string }
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil && res.StatusCode != http.StatusOK {
		h.T.Fatal(err)
	}
	return res.StatusCode, said.Issuer
}

// verify returns the status of /verify for an HTTP client that adds a token.
func (h *server) verify(c *http.Client) int {
	status, _ := h.get(c, h.issuer+"/verify")
	return status
}

func TestOAuthLibraries_Go(t *testing.T) {
	for name, path := range issuerPaths {
		for style, auth := range map[string]oauth2.AuthStyle{"by itself": oauth2.AuthStyleAutoDetect, "in the header": oauth2.AuthStyleInHeader, "in the body": oauth2.AuthStyleInParams} {
			t.Run(style+" at "+name, func(t *testing.T) {
				h := newServer(t, path)
				ctx := h.httpContext()
				h.checkPassword(ctx, auth)
				h.checkClientCredentials(ctx, auth)
				h.CheckNoSecretInAudit()
			})
		}
	}
}

func (h *server) checkPassword(ctx context.Context, auth oauth2.AuthStyle) {
	t := h.T
	username, password := servertest.Usernames["alice"], servertest.Passwords["alice"]
	c := &oauth2.Config{ClientID: "acme", Scopes: []string{"search.query", "search.update"}, Endpoint: oauth2.Endpoint{TokenURL: h.issuer + "/oauth2/token", AuthStyle: auth}}
	if _, err := c.PasswordCredentialsToken(ctx, username, "not it"); errorCode(err) != "invalid_grant" {
		t.Errorf("a wrong password: %v", err)
	}
	first, err := c.PasswordCredentialsToken(ctx, username, password)
	if err != nil || scopeOf(first) != "search.query search.update" || first.Type() != "Bearer" {
		t.Fatalf("%v: %q", err, scopeOf(first))
	}
	over := *c
	over.Scopes = []string{"nothing.here"}
	if _, err := over.PasswordCredentialsToken(ctx, username, password); errorCode(err) != "invalid_scope" {
		t.Errorf("a scope that is not held: %v", err)
	}
	// The library refreshes a token that is about to expire.
	stale := *first
	stale.Expiry = time.Unix(1, 0)
	source := c.TokenSource(ctx, &stale)
	second, err := source.Token()
	if err != nil || second.AccessToken == first.AccessToken || scopeOf(second) != "search.query search.update" {
		t.Fatalf("a refresh: %v", err)
	}
	if status := h.verify(oauth2.NewClient(ctx, source)); status != http.StatusOK {
		t.Errorf("/verify: %d", status)
	}
	h.Clock.Advance(time.Minute)
	if _, err := c.TokenSource(ctx, &stale).Token(); errorCode(err) != "invalid_grant" {
		t.Errorf("a replay: %v", err)
	}
}

func (h *server) checkClientCredentials(ctx context.Context, auth oauth2.AuthStyle) {
	t := h.T
	c := &clientcredentials.Config{ClientID: "acme", ClientSecret: h.secret, TokenURL: h.issuer + "/oauth2/token", AuthStyle: auth, Scopes: []string{"search.query"}}
	tok, err := c.Token(ctx)
	if err != nil || scopeOf(tok) != "search.query" || tok.RefreshToken != "" || !strings.HasPrefix(tok.AccessToken, "atc_") {
		t.Fatalf("%v", err)
	}
	if status := h.verify(c.Client(ctx)); status != http.StatusOK {
		t.Errorf("/verify: %d", status)
	}
	for name, x := range map[string]struct {
		twist func(*clientcredentials.Config)
		want  string
	}{
		"a wrong secret":      {func(c *clientcredentials.Config) { c.ClientSecret = "not it" }, "invalid_client"},
		"another client":      {func(c *clientcredentials.Config) { c.ClientID = "umbrella" }, "invalid_client"},
		"no secret":           {func(c *clientcredentials.Config) { c.ClientSecret = "" }, "invalid_client"},
		"an unknown scope":    {func(c *clientcredentials.Config) { c.Scopes = []string{"nothing.here"} }, "invalid_scope"},
		"a scope named twice": {func(c *clientcredentials.Config) { c.Scopes = []string{"search.query", "search.query"} }, "invalid_scope"},
	} {
		other := *c
		x.twist(&other)
		if _, err := other.Token(ctx); errorCode(err) != x.want {
			t.Errorf("%s: %v, want %s", name, err, x.want)
		}
	}
}

// Each place of the metadata has the same document.
func TestMetadata_OfIssuerWithPath(t *testing.T) {
	h := newServer(t, "/apps/tokens")
	origin := strings.TrimSuffix(h.issuer, "/apps/tokens")
	ctx := h.httpContext()
	trusting, _ := ctx.Value(oauth2.HTTPClient).(*http.Client)
	const place = "/.well-known/oauth-authorization-server"
	for path, want := range map[string]int{
		place + "/apps/tokens": 200, place: 200, "/apps/tokens" + place: 200,
		place + "/apps": 404, place + "/apps/tokens/": 404, "/apps" + place: 404, "/apps/tokensx" + place: 404, "/apps/tokens/apps/tokens" + place: 404,
		"/apps/tokens": 404, "/apps/tokens/": 404, "/apps/tokens/verify": 401, "/verify": 401, "/apps%2Ftokens/verify": 404,
	} {
		if status, issuer := h.get(trusting, origin+path); status != want || want == http.StatusOK && issuer != h.issuer {
			t.Errorf("%s: %d %q, want %d", path, status, issuer, want)
		}
	}
}
