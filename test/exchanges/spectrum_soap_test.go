package exchanges

import (
	"strings"
	"testing"
)

// Pages about the SOAP services of Spectrum, and a program that calls them.
const (
	soapToken12     = "Getting a Token (Spectrum 12.2, SOAP)"
	soapToken20     = "Getting a Token (Spectrum OnDemand 20.1, SOAP)"
	soapLogout      = "Logging Off (Spectrum 12.2, SOAP)"
	namedResources  = "Sample of the named resource service (JAX-WS, program)"
	pitneyNamespace = "http://token.security.common.server.platform.spectrum.pb.com/"
	newerNamespace  = "http://token.security.common.server.platform.spectrum.precisely.com/"
	soap11          = "http://schemas.xmlsoap.org/soap/envelope/"
	soap12          = "http://www.w3.org/2003/05/soap-envelope"
)

// envelope returns a SOAP message with one operation.
func envelope(version, prefix, namespace, operation string) string {
	operation = strings.NewReplacer("<op", "<tok:", "</op", "</tok:").Replace(operation)
	return "<" + prefix + ":Envelope xmlns:" + prefix + `="` + version + `" xmlns:tok="` + namespace + `"><` + prefix + ":Header/><" + prefix + ":Body>" +
		operation + "</" + prefix + ":Body></" + prefix + ":Envelope>"
}

func TestExchanges_SpectrumSOAP(t *testing.T) {
	expiring := "<opgetAccessExpiringToken><tokenLifeInMinutes>60</tokenLifeInMinutes></opgetAccessExpiringToken>"
	text, action := "Content-Type: text/xml;charset=UTF-8", `SOAPAction: ""`
	basic := "Authorization: Basic {basic}"
	run(t, []exchange{
		{
			source: soapToken12, does: "read the WSDL", send: "GET /security/TokenManagerService?wsdl", headers: []string{fromJava, javaOrder},
			status: 200, has: []string{"header Content-Type text/xml.*", "body (?s).*" + pitneyNamespace + ".*getAccessExpiringToken.*"},
		},
		{
			source: soapToken12, does: "get a token of an hour", send: "POST /security/TokenManagerService", headers: []string{fromCXF, anything, text, action, basic},
			body: envelope(soap11, "soapenv", pitneyNamespace, expiring), status: 200,
			keep: []string{"token = element token", "session = element session"},
			has:  []string{"header Content-Type text/xml.*", "element username {username}", "body (?s).*getAccessExpiringTokenResponse.*" + pitneyNamespace + ".*"},
		},
		{
			source: spectrumUse, does: "use the token with its session", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, text, action, "Authorization: Bearer {token}", "Cookie: SESSION={session}"}, status: 200,
		},
		{
			source: soapLogout, does: "read the WSDL of the logout", send: "GET /security/TokenLogoutService?wsdl", headers: []string{fromJava, javaOrder},
			status: 200, has: []string{"body (?s).*logout.*"},
		},
		{
			source: soapLogout, does: "log out", send: "POST /security/TokenLogoutService", headers: []string{fromCXF, anything, text, action, "Authorization: Bearer {token}", "Cookie: SESSION={session}"},
			body: envelope(soap11, "soapenv", pitneyNamespace, "<oplogout/>"), status: 200, has: []string{"body (?s).*logoutResponse.*"},
		},
		{
			source: spectrumUse, does: "the token has ended", isProtected: true, send: "POST /soap/ValidateAddress",
			headers: []string{fromCXF, anything, text, "Authorization: Bearer {token}", "Cookie: SESSION={session}"}, status: 401,
		},
		{
			source: soapToken20, does: "get a token in the newer namespace", send: "POST /security/TokenManagerService", headers: []string{fromCXF, anything, text, action, basic},
			body: envelope(soap11, "soapenv", newerNamespace, expiring), status: 200, has: []string{"element token", "body (?s).*" + newerNamespace + ".*"},
		},
		{
			source: soapToken20, does: "with SOAP 1.2", send: "POST /security/TokenManagerService", headers: []string{fromCXF, anything, "Content-Type: application/soap+xml;charset=UTF-8", basic},
			body: envelope(soap12, "env", newerNamespace, expiring), status: 200, has: []string{"header Content-Type application/soap.xml.*", "element token", "body (?s).*" + soap12 + ".*"},
		},
		{
			source: soapToken12, does: "a wrong password", send: "POST /security/TokenManagerService", headers: []string{fromCXF, anything, text, action, "Authorization: Basic {unknown basic}"},
			body: envelope(soap11, "soapenv", pitneyNamespace, expiring), status: 401,
		},
		{
			source: soapToken12, does: "an operation that does not exist", send: "POST /security/TokenManagerService", headers: []string{fromCXF, anything, text, action, basic},
			body: envelope(soap11, "soapenv", pitneyNamespace, "<opgetEverything/>"), status: 500, has: []string{"header Content-Type text/xml.*", "element faultcode .*Client", "element faultstring .+"},
		},
		{
			source: namedResources, does: "read the WSDL before the first call", send: "GET /security/TokenManagerService?wsdl",
			headers: []string{"User-Agent: Java/1.7.0_80", javaOrder}, status: 200,
		},
		{
			source: namedResources, does: "get a token of five minutes", send: "POST /security/TokenManagerService",
			headers: []string{"User-Agent: JAX-WS RI 2.2.4-b01", "Accept: text/xml, multipart/related", "Content-Type: text/xml; charset=utf-8", action, basic},
			body:    envelope(soap11, "S", pitneyNamespace, strings.Replace(expiring, "60", "5", 1)), status: 200, keep: []string{"token = element token", "session = element session"},
		},
		{
			source: namedResources, does: "log out with the token in a cookie", send: "POST /security/TokenLogoutService",
			headers: []string{"User-Agent: JAX-WS RI 2.2.4-b01", "Accept: text/xml, multipart/related", "Content-Type: text/xml; charset=utf-8", action, "Cookie: spectrum.authentication.token={token}", "Cookie: SESSION={session}"},
			body:    envelope(soap11, "S", pitneyNamespace, "<oplogout/>"), status: 200,
		},
	})
}
