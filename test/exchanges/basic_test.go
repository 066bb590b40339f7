package exchanges

import (
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify"
)

const (
	spectrumBasic = "Web Service Authentication (Spectrum 20.1)"
	netrcOfCurl   = "curl with .netrc (program)"
)

// allowBasic makes verification endpoints accept names and passwords for the clients.
func allowBasic(h *servertest.LoginServer) {
	for name, id := range map[string]int64{"acme": 1001, "umbrella": 2002} {
		h.Index.SetClient(verify.Client{Name: name, AccountID: id, Ceiling: h.TokenService.Ceilings[name], AllowsBasic: true})
	}
}

func TestExchanges_BasicWithEachRequest(t *testing.T) {
	basicChallenge := `header Www-Authenticate (.*, )?Basic realm="[^"]+", charset="UTF-8"`
	run(t, []exchange{
		{
			source: teleBasic, does: "a report for a name and a password", isProtected: true, send: "GET /reports/call-data?start_date=2022-10-01&end_date=2022-10-02",
			headers: []string{fromCurl, anything, "Authorization: Basic {basic}"}, status: 200, has: []string{"header X-Apptoken-User alice", "header X-Apptoken-Client acme"},
		},
		{
			source: teleBasic, does: "at an account", isProtected: true, send: "GET /reports/call-data?start_date=2022-10-01&account_id=2002",
			headers: []string{fromCurl, anything, "Authorization: Basic {basic}"}, status: 200, has: []string{"header X-Apptoken-Client umbrella"},
		},
		{
			source: teleIntegrator, does: "a report at an account", isProtected: true, send: "GET /reports/call-data?start_date=2022-10-01&end_date=2022-10-02&account_id=2002",
			headers: []string{fromCurl, anything, "Authorization: Integrator {basic}"}, status: 200, has: []string{"header X-Apptoken-Client umbrella"},
		},
		{
			source: teleIntegrator, does: "a report without an account", isProtected: true, send: "GET /reports/call-data?start_date=2022-10-01&end_date=2022-10-02",
			headers: []string{fromCurl, anything, "Authorization: Integrator {basic}"}, status: 403,
		},
		{
			source: teleBasic, does: "a wrong password", isProtected: true, send: "GET /reports/call-data", headers: []string{fromCurl, anything, "Authorization: Basic {username:time}"},
			status: 401, has: []string{basicChallenge},
		},
		{
			source: teleBasic, does: "letters beyond ASCII, in UTF-8", isProtected: true, send: "GET /reports/call-data", headers: []string{fromCurl, anything, "Authorization: Basic {second basic}"},
			status: 200, has: []string{"header X-Apptoken-User erin"},
		},
		{
			source: teleBasic, does: "in Latin-1, as Requests encodes a str", isProtected: true, send: "GET /reports/call-data", headers: []string{"User-Agent: python-requests/2.28.1", anything, "Authorization: Basic {latin basic}"},
			status: 200, has: []string{"header X-Apptoken-User erin"},
		},
		{
			source: teleBasic, does: "log in with Latin-1", send: "POST /auth/login", headers: []string{"User-Agent: python-requests/2.28.1", anything, "Authorization: Basic {latin basic}"},
			status: 200, has: tokenPair,
		},
		{
			source: spectrumBasic, does: "a SOAP service", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, "Content-Type: text/xml; charset=UTF-8", `SOAPAction: ""`, "Authorization: Basic {basic}"}, status: 200,
		},
		{
			source: authMethods, does: "the push API", isProtected: true, send: "GET /push-api/v1/collections/example-push/state",
			headers: []string{fromCurl, anything, "Authorization: Basic {basic}"}, status: 200,
		},
		{
			source: teleBasic, does: "the first request of a Java client, which waits for a challenge", isProtected: true, send: "GET /reports/call-data",
			headers: []string{fromJava, javaOrder}, status: 401, has: []string{basicChallenge},
		},
	}, allowBasic)
}

func TestExchanges_BasicAtManagement(t *testing.T) {
	run(t, []exchange{
		{
			source: funnelback15, does: "the first request of a Java client, which waits for a challenge", send: "PUT " + userTokens + "/report",
			headers: []string{fromJava, javaOrder, jsonBody}, status: 401, has: []string{`header Www-Authenticate (.*, )?Basic realm="[^"]+", charset="UTF-8"`},
		},
		{
			source: funnelback15, does: "its second request", send: "PUT " + userTokens + "/report",
			headers: []string{fromJava, javaOrder, jsonBody, "Authorization: Basic {basic}"}, status: 200, keep: []string{"token = member data"},
		},
		{
			source: netrcOfCurl, does: "Basic beside a token", isProtected: true, send: "GET /push-api/v2/collections/news/state",
			headers: []string{fromCurl, anything, "X-Security-Token: {token}", "Authorization: Basic {second basic}"}, status: 200, has: []string{"header X-Apptoken-User alice"},
		},
		{
			source: netrcOfCurl, does: "Basic beside a token, to list tokens", send: "GET " + userTokens,
			headers: []string{fromCurl, anything, "X-Security-Token: {token}", "Authorization: Basic {second basic}"}, status: 200, has: []string{`member data .*"report".*`},
		},
		{
			source: netrcOfCurl, does: "revoke the token with itself", send: "DELETE " + userTokens + "/report",
			headers: []string{fromCurl, anything, "X-Security-Token: {token}", "Authorization: Basic {second basic}"}, status: 200,
		},
		{
			source: netrcOfCurl, does: "a revoked token is not replaced by Basic beside it", isProtected: true, send: "GET /push-api/v2/collections/news/state",
			headers: []string{fromCurl, anything, "X-Security-Token: {token}", "Authorization: Basic {basic}"}, status: 401,
		},
	}, allowBasic)
}

func TestExchanges_SquizDXPUsernameAndPassword(t *testing.T) {
	run(t, []exchange{
		{
			source: squizDXP, does: "create a token, and get a name and a password for it", send: "PUT " + clientTokens + "/crawler",
			headers: []string{fromCurl, anything, jsonBody, "Authorization: Basic {basic}"}, body: `{"roles": ["client~primary"]}`, status: 200,
			keep: []string{"token = member data", "name = member username", "secret = member password"}, has: []string{"member password {token}"},
		},
		{
			source: squizDXP, does: "call with the name and the password", isProtected: true, send: "PUT /push-api/v2/collections/news/documents",
			headers: []string{fromCurl, anything, "Authorization: Basic {name:secret}"}, status: 200, has: []string{"header X-Apptoken-Client acme", "header X-Apptoken-Roles client~primary"},
		},
		{
			source: squizDXP, does: "call with the token in its header", isProtected: true, send: "PUT /push-api/v2/collections/news/documents",
			headers: []string{fromCurl, anything, "X-Security-Token: {token}"}, status: 200,
		},
		{
			source: squizDXP, does: "another name with the same password", isProtected: true, send: "PUT /push-api/v2/collections/news/documents",
			headers: []string{fromCurl, anything, "Authorization: Basic {username:secret}"}, status: 401,
		},
		{
			source: squizDXP, does: "revoke it", send: "DELETE " + clientTokens + "/crawler", headers: []string{fromCurl, anything, "Authorization: Basic {basic}"}, status: 200,
		},
		{
			source: squizDXP, does: "the name and the password end with it", isProtected: true, send: "PUT /push-api/v2/collections/news/documents",
			headers: []string{fromCurl, anything, "Authorization: Basic {name:secret}"}, status: 401,
		},
	}, allowBasic)
}
