package exchanges

import (
	"testing"
	"time"
)

// Pages about Funnelback 15 and 16.
const (
	funnelback15   = "API authentication using an API token (Funnelback 15.24)"
	funnelbackPast = "API authentication using an API token (Funnelback, an older edition)"
	funnelback16   = "API authentication using an API token (Funnelback 16)"
	authMethods    = "API authentication methods (Funnelback)"
	squizConnect   = "Funnelback (component of Squiz Connect)"
	squizDXP       = "API authentication using an API token (Squiz DXP)"
)

// Headers that clients add by themselves.
const (
	fromCurl    = "User-Agent: curl/7.88.1"
	fromAxios   = "User-Agent: axios/1.7.2"
	fromBrowser = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	anything    = "Accept: */*"
	inJSON      = "Accept: application/json, text/plain, */*"
	form        = "Content-Type: application/x-www-form-urlencoded"
	jsonBody    = "Content-Type: application/json"
)

const (
	userTokens   = "/admin-api/application-tokens/v1/application-token"
	clientTokens = "/application-tokens/v1/clients/acme/application-token"
)

func TestExchanges_Funnelback(t *testing.T) {
	run(t, []exchange{
		{
			source: funnelback15, does: "log in with a form, to be remembered", send: "POST /admin-api/account/v1/login?remember-me=true",
			headers: []string{fromCurl, anything, form}, body: "username={username}&password={password}",
			status: 200, has: []string{"header Content-Type application/json.*", "header Cache-Control .*no-store.*"},
			keep: []string{"token = header X-Security-Token"},
		},
		{
			source: funnelback15, does: "send the token in each request", isProtected: true, send: "GET /admin-api/collections/v1/collections",
			headers: []string{fromCurl, anything, "X-Security-Token: {token}"}, status: 200, has: []string{"header X-Apptoken-User alice"},
		},
		{
			source: funnelback15, does: "a remembered token serves for two weeks", isProtected: true, after: 14*24*time.Hour - time.Second,
			send: "GET /admin-api/collections/v1/collections", headers: []string{fromCurl, anything, "X-Security-Token: {token}"}, status: 200,
		},
		{
			source: funnelback15, does: "it then gets 401", isProtected: true, after: time.Second,
			send: "GET /admin-api/collections/v1/collections", headers: []string{fromCurl, anything, "X-Security-Token: {token}"}, status: 401,
		},
		{
			source: authMethods, does: "log in without remember-me", send: "POST /admin-api/account/v1/login",
			headers: []string{fromCurl, anything, form}, body: "username={username}&password={password}",
			status: 200, keep: []string{"token = header X-Security-Token"},
		},
		{
			source: authMethods, does: "log in through the API UI, which writes the path without the prefix", send: "POST /account/v1/login",
			headers: []string{fromBrowser, inJSON, form, "X-Requested-With: XMLHttpRequest", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"},
			body:    "username={username}&password={password}", status: 200, has: []string{"header X-Security-Token"},
		},
		{
			source: authMethods, does: "a wrong password", send: "POST /admin-api/account/v1/login",
			headers: []string{fromCurl, anything, form}, body: "username={username}&password=wrong", status: 401,
		},
		{
			source: funnelbackPast, does: "the name and the password in the URL, which is off by default", send: "POST /admin-api/account/v1/login?username={username}&password=wrong",
			headers: []string{fromCurl, anything}, status: 400,
		},
		{
			source: funnelback15, does: "create an application token of a user", send: "PUT " + userTokens + "/nightly",
			headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {token}"}, status: 200, keep: []string{"application = member data"},
		},
		{
			source: funnelback15, does: "the application uses its token", isProtected: true, send: "GET /push-api/v2/collections/news/state",
			headers: []string{fromAxios, inJSON, "X-Security-Token: {application}"}, status: 200, has: []string{"header X-Apptoken-User alice"},
		},
		{
			source: funnelback15, does: "list the tokens", send: "GET " + userTokens,
			headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {token}"}, status: 200, has: []string{`member data \[\{.*"name":"nightly".*\}\]`},
		},
		{
			source: funnelback15, does: "another user does not see them", send: "GET " + userTokens + "/nightly",
			headers: []string{fromCurl, anything, "Authorization: Basic {second basic}"}, status: 404,
		},
		{
			source: funnelback15, does: "Basic in place of a token", send: "GET " + userTokens + "/nightly",
			headers: []string{fromCurl, anything, "Authorization: Basic {basic}"}, status: 200, has: []string{`member data.name nightly`},
		},
		{
			source: funnelback15, does: "revoke the token", send: "DELETE " + userTokens + "/nightly",
			headers: []string{fromCurl, anything, "X-Security-Token: {token}"}, status: 200,
		},
		{
			source: funnelback15, does: "a revoked token gets 401", isProtected: true, send: "GET /push-api/v2/collections/news/state",
			headers: []string{fromAxios, inJSON, "X-Security-Token: {application}"}, status: 401,
		},
	})
}

func TestExchanges_SquizDXP(t *testing.T) {
	run(t, []exchange{
		{
			source: funnelback16, does: "log in as a developer", send: "POST /admin-api/account/v1/login",
			headers: []string{fromCurl, anything, form}, body: "username={username}&password={password}",
			status: 200, keep: []string{"login = header X-Security-Token"},
		},
		{
			source: funnelback16, does: "create a client application token", send: "PUT " + clientTokens + "/crawler",
			headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {login}"}, status: 200, keep: []string{"token = member data"},
		},
		{
			source: funnelback16, does: "a new token has no permission", isProtected: true, send: "GET /search-api/v2/search",
			headers: []string{fromCurl, anything, "X-Security-Token: {token}"}, status: 200, has: []string{"header X-Apptoken-Client acme"},
		},
		{
			source: funnelback16, does: "with the prefix, and with roles", send: "PUT /admin-api" + clientTokens + "/uploader",
			headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {login}"}, body: `{"roles": ["client~primary"], "permissions": []}`,
			status: 200, keep: []string{"uploader = member data"},
		},
		{
			source: squizConnect, does: "push a document with the security token", isProtected: true, send: "PUT /push-api/v2/collections/news/documents",
			headers: []string{fromAxios, inJSON, "X-Security-Token: {uploader}"}, status: 200, has: []string{"header X-Apptoken-Roles client~primary"},
		},
		{
			source: squizConnect, does: "push a redirect with the security token", isProtected: true, send: "PUT /push-api/v2/collections/news/redirects",
			headers: []string{fromAxios, inJSON, "X-Security-Token: {uploader}"}, status: 200,
		},
		{
			source: funnelback16, does: "clone a token, for an automated rotation", send: "POST " + clientTokens + "/uploader/clone",
			headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {login}"}, body: `{"name": "uploader-2"}`, status: 200, keep: []string{"clone = member data"},
		},
		{
			source: funnelback16, does: "list the tokens", send: "GET " + clientTokens,
			headers: []string{fromCurl, anything, "X-Security-Token: {login}"}, status: 200, has: []string{`member data \[.*"name":"crawler".*"name":"uploader".*\]`},
		},
		{
			source: funnelback16, does: "revoke a token", send: "DELETE " + clientTokens + "/uploader",
			headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {login}"}, status: 200,
		},
		{
			source: funnelback16, does: "the revoked token gets 401", isProtected: true, send: "GET /search-api/v2/search",
			headers: []string{fromCurl, anything, "X-Security-Token: {uploader}"}, status: 401,
		},
		{
			source: funnelback16, does: "its clone lives on", isProtected: true, send: "GET /search-api/v2/search",
			headers: []string{fromCurl, anything, "X-Security-Token: {clone}"}, status: 200,
		},
		{
			source: funnelback16, does: "a user without the permission", send: "PUT " + clientTokens + "/stolen",
			headers: []string{fromCurl, anything, jsonBody, "X-Security-Token: {clone}"}, status: 403,
		},
		{
			source: funnelback16, does: "without a credential", send: "PUT " + clientTokens + "/stolen",
			headers: []string{fromCurl, anything, jsonBody}, status: 401,
		},
	})
}
