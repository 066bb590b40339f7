package exchanges

import "testing"

// rememberMe lists what the documented answer to a login has beside the token, which is kept as
// token.
var rememberMe = []string{
	"member errorMessage null", `member data Authenticated, see x-security-token\.`,
	"cookie SPRING_SECURITY_REMEMBER_ME_COOKIE {token}",
	"attributes SPRING_SECURITY_REMEMBER_ME_COOKIE (.*; )?Path=/(;.*)?", `attributes SPRING_SECURITY_REMEMBER_ME_COOKIE (.*; )?Expires=\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT(;.*)?`,
	"attributes SPRING_SECURITY_REMEMBER_ME_COOKIE (.*; )?HttpOnly(;.*)?",
}

func TestExchanges_FunnelbackErrorMessage(t *testing.T) {
	run(t, []exchange{
		{
			source: authMethods, does: "log in", send: "POST /admin-api/account/v1/login", headers: []string{fromCurl, anything, form}, body: "username={username}&password={password}",
			status: 200, keep: []string{"token = header X-Security-Token"}, has: []string{"member errorMessage null", `member data Authenticated, see x-security-token\.`},
		},
		{
			source: authMethods, does: "a wrong password", send: "POST /admin-api/account/v1/login", headers: []string{fromCurl, anything, form}, body: "username={username}&password=wrong",
			status: 401, has: []string{"member errorMessage .+", "member data null"},
		},
		{
			source: authMethods, does: "no password", send: "POST /account/v1/login", headers: []string{fromCurl, anything, form}, body: "username={username}",
			status: 400, has: []string{"member errorMessage .*password.*", "member data null"},
		},
		{
			source: authMethods, does: "another method", send: "GET /admin-api/account/v1/login", headers: []string{fromBrowser, inJSON},
			status: 405, has: []string{"member errorMessage .+", "member data null", "header Allow POST"},
		},
		{
			source: authMethods, does: "another path of the API", send: "GET /admin-api/account/v1/logins", headers: []string{fromBrowser, inJSON},
			status: 404, has: []string{"member errorMessage .+", "member data null"},
		},
		{
			source: funnelback15, does: "create a token", send: "PUT " + userTokens + "/nightly", headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {token}"},
			status: 200, has: []string{"member errorMessage null", `member data at\w+`},
		},
		{
			source: funnelback15, does: "create it again", send: "PUT " + userTokens + "/nightly", headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {token}"},
			status: 409, has: []string{"member errorMessage .+", "member data null"},
		},
		{
			source: funnelback15, does: "list", send: "GET " + userTokens, headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {token}"},
			status: 200, has: []string{"member errorMessage null", `member data \[.*\]`},
		},
		{
			source: funnelback15, does: "get one", send: "GET " + userTokens + "/nightly", headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {token}"},
			status: 200, has: []string{"member errorMessage null", "member data.name nightly"},
		},
		{
			source: funnelback15, does: "revoke", send: "DELETE " + userTokens + "/nightly", headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {token}"},
			status: 200, has: []string{"member errorMessage null", "member data"},
		},
		{
			source: funnelback15, does: "get one that is gone", send: "GET " + userTokens + "/nightly", headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {token}"},
			status: 404, has: []string{"member errorMessage .+", "member data null"},
		},
		{
			source: funnelback15, does: "without a token", send: "GET " + userTokens, headers: []string{fromCurl, anything},
			status: 401, has: []string{"member errorMessage .+", "member data null"},
		},
		{
			source: funnelback16, does: "roles that the client does not have", send: "PUT " + clientTokens + "/crawler", headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {token}"},
			body: `{"roles": ["owner"]}`, status: 400, has: []string{"member errorMessage .+", "member data null"},
		},
		{
			source: funnelback16, does: "the tokens of a client", send: "GET " + clientTokens, headers: []string{fromCurl, anything, "X-Security-Token: {token}"},
			status: 200, has: []string{"member errorMessage null", `member data \[\]`},
		},
	})
}

func TestExchanges_FunnelbackRememberMe(t *testing.T) {
	run(t, []exchange{
		{
			source: funnelback15, does: "log in, to be remembered", send: "POST /admin-api/account/v1/login?remember-me=true", headers: []string{fromCurl, anything, form},
			body: "username={username}&password={password}", status: 200, keep: []string{"token = header X-Security-Token"}, has: rememberMe,
		},
		{
			source: authMethods, does: "call with the cookie alone", isProtected: true, send: "GET /admin-api/collections/v1/collections",
			headers: []string{fromBrowser, inJSON, "Cookie: SPRING_SECURITY_REMEMBER_ME_COOKIE={token}"}, status: 200, has: []string{"header X-Apptoken-User alice"},
		},
		{
			source: authMethods, does: "call with both, as a cookie jar does", isProtected: true, send: "GET /admin-api/collections/v1/collections",
			headers: []string{fromCurl, anything, "X-Security-Token: {token}", "Cookie: SPRING_SECURITY_REMEMBER_ME_COOKIE={token}"}, status: 200,
		},
		{
			source: authMethods, does: "list tokens with the cookie alone", send: "GET " + userTokens,
			headers: []string{fromCurl, anything, "Cookie: SPRING_SECURITY_REMEMBER_ME_COOKIE={token}"}, status: 200,
		},
		{
			source: authMethods, does: "create a token with the cookie alone", send: "PUT " + userTokens + "/nightly",
			headers: []string{fromCurl, anything, jsonBody, "Cookie: SPRING_SECURITY_REMEMBER_ME_COOKIE={token}"}, status: 200, keep: []string{"application = member data"},
		},
		{
			source: authMethods, does: "the API UI creates one, on a page of the same origin", send: "PUT " + userTokens + "/weekly",
			headers: []string{fromBrowser, inJSON, jsonBody, "Cookie: SPRING_SECURITY_REMEMBER_ME_COOKIE={token}", "Sec-Fetch-Site: same-origin"}, status: 200,
		},
		{
			source: authMethods, does: "another site's page cannot", send: "PUT " + userTokens + "/stolen",
			headers: []string{fromBrowser, inJSON, jsonBody, "Cookie: SPRING_SECURITY_REMEMBER_ME_COOKIE={token}", "Sec-Fetch-Site: cross-site", "Origin: https://elsewhere.example"}, status: 403,
		},
		{
			source: funnelback15, does: "an application token beside the cookie of a jar", isProtected: true, send: "GET /push-api/v2/collections/news/state",
			headers: []string{fromCurl, anything, "X-Security-Token: {application}", "Cookie: SPRING_SECURITY_REMEMBER_ME_COOKIE={token}"}, status: 200, has: []string{"header X-Apptoken-Kind UserApplication"},
		},
	})
}
