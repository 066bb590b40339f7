package exchanges

import (
	"testing"

	"github.com/apptoken/operator/internal/cors"
	"github.com/apptoken/operator/internal/testing/servertest"
)

const enablingCORS = "Enabling CORS (Spectrum 23.1)"

// fromPage returns the headers that a browser adds for a page of the allowed origin.
func fromPage(more ...string) []string {
	return append([]string{fromBrowser, inJSON, "Origin: https://webapp.example.com", "Referer: https://webapp.example.com/", "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, more...)
}

// preflight returns the headers of a preflight of that page.
func preflight(method, names string) []string {
	return fromPage("Access-Control-Request-Method: "+method, "Access-Control-Request-Headers: "+names)
}

// permits lists what a browser looks for in the answer to a preflight.
func permits(method, name string) []string {
	return append(readable, `header Access-Control-Allow-Methods (.*, ?)?`+method+`(,.*)?`, `header Access-Control-Allow-Headers (?i)(.*, ?)?`+name+`(,.*)?`)
}

// readable lists what a browser looks for before a page with credentials may read an answer.
var readable = []string{`header Access-Control-Allow-Origin https://webapp\.example\.com`, "header Access-Control-Allow-Credentials true"}

func TestExchanges_OtherOrigins(t *testing.T) {
	allow := func(h *servertest.LoginServer) {
		allowed, err := cors.Parse([]string{"https://webapp.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		h.Origins = allowed
	}
	run(t, []exchange{
		{
			source: enablingCORS, does: "may a page ask for a token", send: "OPTIONS /security/rest/token/access/session/30",
			headers: preflight("GET", "authorization"), status: 204, has: permits("GET", "authorization"),
		},
		{
			source: spatialScripts, does: "a page asks for a token, with credentials", send: "GET /security/rest/token/access/session/30",
			headers: fromPage("Authorization: Basic {basic}"), status: 200, has: readable, keep: []string{"token = member access_token", "session = cookie SESSION"},
		},
		{
			source: spectrumToken, does: "the browser sends the session back", isProtected: true, send: "GET /rest/ValidateAddress/results.json",
			headers: fromPage("Authorization: Bearer {token}", "Cookie: SESSION={session}"), status: 200,
		},
		{
			source: spectrumLogout, does: "may the page log out", send: "OPTIONS /security/rest/token/logout",
			headers: preflight("GET", "authorization"), status: 204, has: permits("GET", "authorization"),
		},
		{
			source: spectrumLogout, does: "the page logs out", send: "GET /security/rest/token/logout",
			headers: fromPage("Authorization: Bearer {token}", "Cookie: SESSION={session}"), status: 200, has: readable,
		},
		{
			source: teleLogin, does: "may a page log in with JSON", send: "OPTIONS /auth/login",
			headers: preflight("POST", "content-type"), status: 204, has: permits("POST", "content-type"),
		},
		{
			source: teleLogin, does: "a page logs in with JSON", send: "POST /auth/login", headers: fromPage(jsonBody), body: `{"username": "{username}", "password": "{password}"}`,
			status: 200, has: append(readable, tokenPair...), keep: []string{"refresh = member refreshToken"},
		},
		{
			source: teleLogin, does: "the page sees why a login fails", send: "POST /auth/login", headers: fromPage(form), body: "username={username}&password=wrong",
			status: 401, has: append(readable, "member success false"),
		},
		{
			source: teleRefresh, does: "a page refreshes", send: "POST /auth/refresh", headers: fromPage(form), body: "refresh_token={refresh}",
			status: 200, has: append(readable, tokenPair...),
		},
		{
			source: funnelback15, does: "a page logs in with a form, and reads the header", send: "POST /admin-api/account/v1/login", headers: fromPage(form), body: "username={username}&password={password}",
			status: 200, has: append(readable, "header Access-Control-Expose-Headers (?i)(.*, ?)?x-security-token(,.*)?"), keep: []string{"token = header X-Security-Token"},
		},
		{
			source: funnelback15, does: "may the page create a token", send: "OPTIONS " + userTokens + "/page",
			headers: preflight("PUT", "content-type,x-security-token"), status: 204, has: permits("PUT", "x-security-token"),
		},
		{
			source: funnelback15, does: "the page creates a token", send: "PUT " + userTokens + "/page", headers: fromPage(jsonBody, "X-Security-Token: {token}"),
			status: 200, has: append(readable, "member data"),
		},
		{
			source: enablingCORS, does: "a page of another origin", send: "OPTIONS /security/rest/token/access/session/30",
			headers: []string{fromBrowser, anything, "Origin: https://elsewhere.example", "Sec-Fetch-Site: cross-site", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization"},
			status:  403,
		},
		{
			source: enablingCORS, does: "the stored password of a browser, for a page of another origin", send: "GET /security/rest/token/access/session/30",
			headers: []string{fromBrowser, anything, "Origin: https://elsewhere.example", "Sec-Fetch-Site: cross-site", "Authorization: Basic {basic}"},
			status:  403, has: []string{"body (?s).*origin.*"},
		},
	}, allow)
}
