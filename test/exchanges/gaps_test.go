package exchanges

import "testing"

// Exchanges of the pages that the operator does not serve as they are shown.
func TestExchanges_Gaps(t *testing.T) {
	run(t, []exchange{
		{
			source: authMethods, does: "log in without remember-me, and get the token as a cookie too", send: "POST /admin-api/account/v1/login", headers: []string{fromCurl, anything, form},
			body: "username={username}&password={password}", status: 200, keep: []string{"token = header X-Security-Token"}, has: rememberMe,
		},
		{
			source: "Requests with .netrc (program)", does: "log in with a form, with the password of .netrc beside it", send: "POST /admin-api/account/v1/login",
			headers: []string{"User-Agent: python-requests/2.28.1", anything, form, "Authorization: Basic {second basic}"}, body: "username={username}&password={password}",
			status: 200, has: []string{"member username {username}"},
		},
		{
			source: teleLogin, does: "the same at TeleTracker", send: "POST /auth/login", headers: []string{"User-Agent: python-requests/2.28.1", anything, form, "Authorization: Basic {basic}"},
			body: "username={username}&password={password}", status: 200, has: tokenPair,
		},
		{
			source: teleIntegrator, does: "a report, behind a gateway that names the target in X-Forwarded-Uri alone", send: "GET /verify",
			headers: []string{fromCurl, anything, "Authorization: Integrator {basic}", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /reports/call-data?account_id=2002"},
			status:  200, has: []string{"header X-Apptoken-Client umbrella"},
		},
		{
			source: namedResources, does: "get a token", send: "POST /security/TokenManagerService", headers: []string{"User-Agent: JAX-WS RI 2.2.4-b01", "Content-Type: text/xml; charset=utf-8", `SOAPAction: ""`, "Authorization: Basic {basic}"},
			body:   envelope(soap11, "S", pitneyNamespace, "<opgetAccessExpiringToken><tokenLifeInMinutes>5</tokenLifeInMinutes></opgetAccessExpiringToken>"),
			status: 200, keep: []string{"open token = element token"},
		},
		{
			source: namedResources, does: "call with the token in a cookie, and without its session", isProtected: true, send: "POST /soap/NamedResourceService",
			headers: []string{"User-Agent: JAX-WS RI 2.2.4-b01", "Cookie: spectrum.authentication.token={open token}"}, status: 200,
		},
	}, allowBasic)
}
