package exchanges

import "testing"

// Exchanges of programs that present a name and a password in two places, or through a gateway.
func TestExchanges_SeveralCredentials(t *testing.T) {
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
	}, allowBasic)
}
