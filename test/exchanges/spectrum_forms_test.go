package exchanges

import "testing"

func TestExchanges_SpectrumForms(t *testing.T) {
	run(t, []exchange{
		{
			source: spectrumToken, does: "read the WADL with a slash before the query", send: "GET /security/rest/?_wadl", headers: []string{fromBrowser, inXML},
			status: 200, has: []string{"header Content-Type application/.*wadl.*xml.*", "body (?s).*<application.*"},
		},
		{
			source: spectrumLogout, does: "by its other name", send: "GET /security/rest/?wadl", headers: []string{fromBrowser, inXML},
			status: 200, has: []string{"body (?s).*<application.*"},
		},
		{
			source: spectrumToken, does: "get a session token", send: "GET /security/rest/token/access/session/60", headers: []string{fromCurl, anything, "Authorization: Basic {basic}"},
			status: 200, keep: []string{"token = member access_token", "session = member session"},
		},
		{
			source: spectrumUse, does: "cookies in quotes, as a Java client writes values of version 1", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, `Cookie: spectrum.authentication.token="{token}"; SESSION="{session}"`}, status: 200,
		},
		{
			source: spectrumUse, does: "the token in the header and in the cookie", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, "Authorization: Bearer {token}", "Cookie: spectrum.authentication.token={token}; SESSION={session}"}, status: 200,
		},
		{
			source: spectrumLogout, does: "log out with both", send: "GET /security/rest/token/logout",
			headers: []string{fromCXF, anything, "Authorization: Bearer {token}", "Cookie: spectrum.authentication.token={token}; SESSION={session}"}, status: 200,
		},
	})
}
