package exchanges

import "testing"

func TestExchanges_TeleTrackerSuccess(t *testing.T) {
	failed := []string{"member success false"}
	run(t, []exchange{
		{
			source: teleREST, does: "an operation that does not exist", send: "POST /auth/logon", headers: []string{fromCurl, anything, form}, body: "username={username}",
			status: 404, has: failed,
		},
		{source: teleREST, does: "another method", send: "GET /auth/login", headers: []string{fromCurl, anything}, status: 405, has: append(failed, "header Allow POST")},
		{
			source: teleREST, does: "another method with a body", send: "PUT /auth/refresh", headers: []string{fromCurl, anything, form}, body: "refresh_token=x",
			status: 405, has: append(failed, "header Allow POST"),
		},
		{
			source: teleREST, does: "an encoding that is not supported", send: "POST /auth/login", headers: []string{fromCurl, anything, "Content-Type: text/plain"}, body: "username=x",
			status: 415, has: failed,
		},
		{
			source: teleREST, does: "malformed JSON", send: "POST /auth/login", headers: []string{fromAxios, inJSON, jsonBody}, body: `{"username": `,
			status: 400, has: failed,
		},
		{
			source: teleLogin, does: "optional fields left empty", send: "POST /auth/login", headers: []string{fromGuzzle, form}, body: "username={username}&password={password}&account_id=&auth_only=",
			status: 200, has: tokenPair,
		},
		{
			source: teleLogin, does: "optional members that are null or empty", send: "POST /auth/login", headers: []string{fromAxios, inJSON, jsonBody},
			body: `{"username": "{username}", "password": "{password}", "account_id": null, "auth_only": ""}`, status: 200, has: tokenPair,
		},
		{
			source: teleLogin, does: "an account in quotes", send: "POST /auth/login", headers: []string{fromAxios, inJSON, jsonBody},
			body: `{"username": "{username}", "password": "{password}", "account_id": "2002", "auth_only": "0"}`, status: 200, has: tokenPair,
		},
		{
			source: teleLogin, does: "a field that the operation does not know", send: "POST /auth/login", headers: []string{fromGuzzle, form},
			body: "username={username}&password={password}&remember=1", status: 200, has: tokenPair,
		},
		{
			source: teleIntegrator, does: "an account left empty", send: "POST /auth/login", headers: []string{fromCurl, anything, form, "Authorization: Integrator {basic}"}, body: "account_id=",
			status: 400, has: append(failed, "member field account_id"),
		},
	})
}
