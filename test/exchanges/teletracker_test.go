package exchanges

import (
	"testing"
	"time"
)

// Pages of the developer documentation of TeleTracker.
const (
	teleLogin      = "Login (TeleTracker)"
	teleBearer     = "Get a Bearer Token (TeleTracker)"
	teleRefresh    = "Refresh Your Bearer Token (TeleTracker)"
	teleBasic      = "Basic Authentication (TeleTracker)"
	teleIntegrator = "Integrator Authentication (TeleTracker)"
	teleREST       = "REST API (TeleTracker)"
)

const (
	fromGuzzle = "User-Agent: GuzzleHttp/7"
	multipart  = "Content-Type: multipart/form-data; boundary=XX"
	uuid       = `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`
	isoTime    = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+]00:00`
)

// tokenPair lists the members of the answer to a login and to a refresh.
var tokenPair = []string{
	"member success true", "member guid " + uuid, "member token", "member tokenExpiration " + isoTime, `member tokenLifetime \d+`,
	"member refreshToken", "member refreshTokenExpiration " + isoTime, "header Content-Type application/json.*",
}

func TestExchanges_TeleTracker(t *testing.T) {
	run(t, []exchange{
		{
			source: teleLogin, does: "log in", send: "POST /auth/login", headers: []string{fromCurl, anything, form}, body: "username={username}&password={password}",
			status: 200, has: tokenPair, keep: []string{"token = member token", "refresh = member refreshToken", "guid = member guid"},
		},
		{
			source: teleLogin, does: "log in at an account", send: "POST /auth/login", headers: []string{fromGuzzle, form}, body: "username={username}&password={password}&account_id=2002",
			status: 200, has: tokenPair, keep: []string{"other = member token"},
		},
		{
			source: teleREST, does: "log in with a JSON body", send: "POST /auth/login", headers: []string{fromAxios, inJSON, jsonBody},
			body: `{"username": "{username}", "password": "{password}", "account_id": 2002, "auth_only": 0}`, status: 200, has: tokenPair,
		},
		{
			source: teleREST, does: "log in with a multipart body", send: "POST /auth/login", headers: []string{fromGuzzle, multipart},
			body:   "--XX\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\n{username}\r\n--XX\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n{password}\r\n--XX--\r\n",
			status: 200, has: tokenPair,
		},
		{
			source: teleLogin, does: "only check the password", send: "POST /auth/login", headers: []string{fromCurl, anything, form},
			body: "username={username}&password={password}&auth_only=1", status: 200, has: []string{`body \{"success":true\}`},
		},
		{
			source: teleLogin, does: "auth_only of 0 logs in", send: "POST /auth/login", headers: []string{fromCurl, anything, form},
			body: "username={username}&password={password}&auth_only=0", status: 200, has: tokenPair,
		},
		{
			source: teleLogin, does: "a wrong password", send: "POST /auth/login", headers: []string{fromCurl, anything, form},
			body: "username={username}&password=wrong", status: 401, has: []string{"member success false"},
		},
		{
			source: teleREST, does: "a required field is missing, and the answer names it", send: "POST /auth/login", headers: []string{fromCurl, anything, form},
			body: "username={username}", status: 400, has: []string{"member success false", "member field password"},
		},
		{
			source: teleBearer, does: "pass the bearer token", isProtected: true, send: "GET /reports/call-data?start_date=2022-10-01&end_date=2022-10-02",
			headers: []string{fromCurl, anything, "Authorization: Bearer {token}"}, status: 200, has: []string{"header X-Apptoken-Client acme"},
		},
		{
			source: teleBearer, does: "the header by its other name", isProtected: true, send: "GET /reports/call-data",
			headers: []string{fromGuzzle, "Authentication: Bearer {token}"}, status: 200,
		},
		{
			source: teleBearer, does: "a token is of a single account", isProtected: true, send: "GET /reports/call-data",
			headers: []string{fromCurl, anything, "Authorization: Bearer {other}"}, status: 200, has: []string{"header X-Apptoken-Client umbrella"},
		},
		{
			source: teleBearer, does: "an expired token", isProtected: true, after: time.Hour, send: "GET /reports/call-data",
			headers: []string{fromCurl, anything, "Authorization: Bearer {token}"}, status: 401,
		},
		{
			source: teleRefresh, does: "refresh", send: "POST /auth/refresh", headers: []string{fromCurl, anything, form}, body: "refresh_token={refresh}",
			status: 200, has: tokenPair, keep: []string{"next token = member token", "next refresh = member refreshToken", "next guid = member guid"},
		},
		{
			source: teleRefresh, does: "use the new token", isProtected: true, send: "GET /reports/call-data",
			headers: []string{fromCurl, anything, "Authorization: Bearer {next token}"}, status: 200,
		},
		{
			source: teleRefresh, does: "refresh with a JSON body", send: "POST /auth/refresh", headers: []string{fromAxios, inJSON, jsonBody}, body: `{"refresh_token": "{next refresh}"}`,
			status: 200, has: tokenPair, keep: []string{"last token = member token"},
		},
		{
			source: teleRefresh, does: "an old refresh token", after: time.Minute, send: "POST /auth/refresh", headers: []string{fromCurl, anything, form}, body: "refresh_token={refresh}",
			status: 401, has: []string{"member success false"},
		},
		{
			source: teleRefresh, does: "its use has ended the session", isProtected: true, send: "GET /reports/call-data",
			headers: []string{fromCurl, anything, "Authorization: Bearer {last token}"}, status: 401,
		},
		{
			source: teleBasic, does: "log in with Basic", send: "POST /auth/login", headers: []string{fromCurl, anything, "Authorization: Basic {basic}"},
			status: 200, has: tokenPair,
		},
		{
			source: teleBasic, does: "a name with a letter beyond ASCII, in UTF-8", send: "POST /auth/login", headers: []string{fromCurl, anything, "Authorization: Basic {second basic}"},
			status: 200, has: tokenPair,
		},
		{
			source: teleBasic, does: "a wrong password", send: "POST /auth/login", headers: []string{fromCurl, anything, "Authorization: Basic {unknown basic}"},
			status: 401, has: []string{"member success false", `header Www-Authenticate Basic realm="[^"]+", charset="UTF-8"`},
		},
		{
			source: teleIntegrator, does: "log in at a named account", send: "POST /auth/login?account_id=2002", headers: []string{fromCurl, anything, "Authorization: Integrator {basic}"},
			status: 200, has: tokenPair,
		},
		{
			source: teleIntegrator, does: "the account in the body", send: "POST /auth/login", headers: []string{fromCurl, anything, form, "Authorization: Integrator {basic}"},
			body: "account_id=2002", status: 200, has: tokenPair,
		},
		{
			source: teleIntegrator, does: "without an account", send: "POST /auth/login", headers: []string{fromCurl, anything, "Authorization: Integrator {basic}"},
			status: 400, has: []string{"member success false", "member field account_id"},
		},
	})
}
