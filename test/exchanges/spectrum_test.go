package exchanges

import (
	"testing"
	"time"
)

// Pages about the Spectrum Technology Platform, and programs that call it.
const (
	spectrumToken  = "Getting a Token (Spectrum 20.1, REST)"
	spectrumUse    = "Using a Token (Spectrum 12.2)"
	spectrumLogout = "Logging Off (Spectrum 23.1)"
	mcpConnector   = "Spectrum MCP connector (Precisely, program)"
	spatialAnalyst = "Spectrum Spatial Analyst (token service, program)"
	spatialScripts = "spatialServices (Angular module, program)"
)

const (
	fromJava  = "User-Agent: Java/1.8.0_202"
	fromHTTPX = "User-Agent: python-httpx/0.27.0"
	fromCXF   = "User-Agent: Apache-CXF/3.3.6"
	javaOrder = "Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
	inXML     = "Accept: application/xml, text/xml, */*;q=0.8"
)

func TestExchanges_Spectrum(t *testing.T) {
	run(t, []exchange{
		{
			source: spectrumToken, does: "get a session token", send: "GET /security/rest/token/access/session/60", headers: []string{fromCurl, anything, "Authorization: Basic {basic}"},
			status: 200, has: []string{"header Content-Type application/json.*", "member username {username}", "attributes SESSION .*HttpOnly.*"},
			keep: []string{"token = member access_token", "session = member session", "cookie = cookie SESSION"},
		},
		{
			source: spectrumUse, does: "a session token with its session", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, "Content-Type: text/xml; charset=UTF-8", `SOAPAction: ""`, "Authorization: Bearer {token}", "Cookie: SESSION={session}"}, status: 200,
		},
		{
			source: spectrumUse, does: "the session as the cookie of the answer", isProtected: true, send: "GET /rest/ValidateAddress/results.json",
			headers: []string{fromCurl, anything, "Authorization: Bearer {token}", "Cookie: SESSION={cookie}"}, status: 200,
		},
		{
			source: spectrumUse, does: "without its session", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, "Authorization: Bearer {token}"}, status: 401,
		},
		{
			source: spectrumUse, does: "the cookie's name in small letters", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, "Authorization: Bearer {token}", "Cookie: session={session}"}, status: 401,
		},
		{
			source: spectrumUse, does: "the token in a cookie, in two headers as the page writes them", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, "Cookie: spectrum.authentication.token={token}", "Cookie: SESSION={session}"}, status: 200,
		},
		{
			source: spectrumUse, does: "both cookies in one header", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, "Cookie: spectrum.authentication.token={token}; SESSION={session}"}, status: 200,
		},
		{
			source: spectrumToken, does: "a session that was not used for half an hour", isProtected: true, after: 30 * time.Minute, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, "Authorization: Bearer {token}", "Cookie: SESSION={session}"}, status: 401,
		},
		{
			source: spectrumToken, does: "get a session token without an end", send: "GET /security/rest/token/access/session/0", headers: []string{fromCurl, anything, "Authorization: Basic {basic}"},
			status: 200, keep: []string{"token = member access_token", "session = member session"},
		},
		{
			source: spectrumLogout, does: "log out of a session", send: "GET /security/rest/token/logout", headers: []string{fromCurl, anything, "Authorization: Bearer {token}", "Cookie: SESSION={session}"},
			status: 200,
		},
		{
			source: spectrumLogout, does: "the token is not in the list of valid tokens any more", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, "Authorization: Bearer {token}", "Cookie: SESSION={session}"}, status: 401,
		},
		{
			source: spectrumToken, does: "get an open token", send: "GET /security/rest/token/access/60", headers: []string{fromCurl, anything, "Authorization: Basic {basic}"},
			status: 200, has: []string{"member username {username}"}, keep: []string{"token = member access_token"},
		},
		{
			source: spectrumUse, does: "an open token in a cookie", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, "Cookie: spectrum.authentication.token={token}"}, status: 200,
		},
		{
			source: spectrumLogout, does: "log out with the token in a cookie", send: "GET /security/rest/token/logout", headers: []string{fromCurl, anything, "Cookie: spectrum.authentication.token={token}"},
			status: 200,
		},
		{
			source: spectrumToken, does: "without a name and a password", send: "GET /security/rest/token/access/60", headers: []string{fromJava, javaOrder},
			status: 401, has: []string{`header Www-Authenticate Basic realm="[^"]+", charset="UTF-8"`},
		},
		{
			source: spectrumToken, does: "read the WADL", send: "GET /security/rest?_wadl", headers: []string{fromBrowser, inXML},
			status: 200, has: []string{"header Content-Type application/.*wadl.*xml.*", `body (?s).*<application.*access/session/\{ttlInMinutes\}.*`},
		},
		{
			source: spectrumLogout, does: "read the WADL by its other name", send: "GET /security/rest?wadl", headers: []string{fromBrowser, inXML},
			status: 200, has: []string{"body (?s).*<application.*/logout.*"},
		},
	})
}

func TestExchanges_SpectrumPrograms(t *testing.T) {
	run(t, []exchange{
		{
			source: mcpConnector, does: "get an open token past caches", send: "GET /security/rest/token/access/60?noCache={time}", headers: []string{fromHTTPX, anything, "Accept-Encoding: gzip, deflate", "Authorization: Basic {basic}"},
			status: 200, keep: []string{"token = member access_token"},
		},
		{
			source: mcpConnector, does: "call a service", isProtected: true, send: "GET /rest/ValidateAddress/results.json",
			headers: []string{fromHTTPX, anything, "Authorization: Bearer {token}"}, status: 200,
		},
		{
			source: mcpConnector, does: "an expired token, after which it asks for another", isProtected: true, after: time.Hour, send: "GET /rest/ValidateAddress/results.json",
			headers: []string{fromHTTPX, anything, "Authorization: Bearer {token}"}, status: 401,
		},
		{
			source: mcpConnector, does: "get the next token", send: "GET /security/rest/token/access/60?noCache={time}", headers: []string{fromHTTPX, anything, "Authorization: Basic {basic}"},
			status: 200, keep: []string{"token = member access_token"},
		},
		{
			source: mcpConnector, does: "log out as it ends", send: "GET /security/rest/token/logout", headers: []string{fromHTTPX, anything, "Authorization: Bearer {token}"},
			status: 200,
		},
		{
			source: spatialAnalyst, does: "get a session token for a web session", send: "GET /security/rest/token/access/session/0", headers: []string{fromJava, javaOrder, "Authorization: Basic {basic}"},
			status: 200, has: []string{"member username {username}"}, keep: []string{"token = member access_token", "session = member session"},
		},
		{
			source: spatialAnalyst, does: "call a SOAP service", isProtected: true, send: "POST /soap/MappingService",
			headers: []string{fromCXF, anything, "Content-Type: text/xml; charset=UTF-8", "Authorization: Bearer {token}", "Cookie: SESSION={session}"}, status: 200,
		},
		{
			source: spatialAnalyst, does: "log out as the web session ends", send: "GET /security/rest/token/logout",
			headers: []string{fromJava, javaOrder, "Authorization: Bearer {token}", "Cookie: SESSION={session}"}, status: 200,
		},
		{
			source: spatialScripts, does: "get a session token", send: "GET /security/rest/token/access/session/30",
			headers: []string{fromBrowser, anything, "Authorization: Basic {basic}", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"},
			status:  200, has: []string{"member access_token", "member session " + uuid, "member username {username}"},
		},
	})
}
