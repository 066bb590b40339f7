package soap_test

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// The operations, and what a token of each begins with.
var tokenOperations = map[string]string{
	"getAccessToken": "ats_", "getAccessExpiringToken": "ats_", "getAccessSessionToken": "ats_", "getAccessExpiringSessionToken": "ats_",
	"getAccessTokenForAll": "ato_", "getAccessExpiringTokenForAll": "ato_", "getAccessOpenToken": "ato_", "getAccessExpiringOpenToken": "ato_",
}

// umbrella allows all kinds of tokens.
func TestTokens_EachOperationAnswersInVersionAndNamespace(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for name, v := range versions {
		for _, namespace := range []string{namespacePB, namespacePrecisely} {
			for operation, prefix := range tokenOperations {
				parameters := ""
				if strings.Contains(operation, "Expiring") {
					parameters = minutes("5")
				}
				text := strings.ReplaceAll(v.call(operation, parameters), namespacePB, namespace)
				got, a := post(h, pathManager+"?account_id=2002", servertest.Basic("alice"), v.body(text))
				tok, isSession := a.token(), prefix == "ats_"
				if got.Status != http.StatusOK || a.XMLName.Space != v.envelope || a.Body.Result.XMLName != (xml.Name{Space: namespace, Local: operation + "Response"}) ||
					!strings.HasPrefix(tok.Token, prefix) || tok.Username != "alice@example.com" || (tok.Session != "") != isSession {
					t.Errorf("%s, %s, %s: %d %s", name, namespace, operation, got.Status, got.Body)
				}
				var want []string
				if isSession {
					want = []string{"SESSION=" + tok.Session + "; Path=/; HttpOnly; SameSite=Lax"}
				}
				if set := got.Header.Values("Set-Cookie"); !slices.Equal(set, want) {
					t.Errorf("%s, %s: it sets %q", name, operation, set)
				}
			}
		}
	}
	h.CheckNoSecretInAudit()
}

// Clients read the elements by local name; JAX-WS writes those in the answer without a namespace.
func TestTokens_AnswerIsAsJAXWSWritesIt(t *testing.T) {
	h := servertest.NewLoginServer(t)
	got, a := post(h, pathManager, servertest.Basic("alice"), soap11.body(soap11.call("getAccessExpiringToken", minutes("60"))))
	tok := a.token()
	want := `<soap:Envelope xmlns:soap="` + envelope11 + `"><soap:Body><ns2:getAccessExpiringTokenResponse xmlns:ns2="` + namespacePB + `"><return><session>` + tok.Session +
		`</session><token>` + tok.Token + `</token><username>alice@example.com</username></return></ns2:getAccessExpiringTokenResponse></soap:Body></soap:Envelope>`
	if got.Body != want {
		t.Errorf("got %s\nwant %s", got.Body, want)
	}
}

// SOAP and REST are two forms of one login.
func TestTokens_SessionIsBoundLikeThatOfREST(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := newToken(t, h, "getAccessExpiringToken", minutes("60"))
	session := servertest.Cookies("SESSION=" + tok.Session)
	for name, x := range map[string]struct {
		parts []servertest.RequestOption
		valid bool
	}{
		"with its session":     {[]servertest.RequestOption{session}, true},
		"without a session":    {nil, false},
		"from another address": {[]servertest.RequestOption{session, servertest.WithForwardedFor("192.0.2.8")}, false},
	} {
		if h.IsValid(tok.Token, x.parts...) != x.valid {
			t.Errorf("%s it is valid: %t", name, !x.valid)
		}
	}
	if said := h.AuditLog.Text(); !strings.Contains(said, `"event":"login.succeeded"`) || !strings.Contains(said, `"protocol":"spectrum"`) {
		t.Errorf("the audit log says %s", said)
	}
	if n := len(h.LoginResults.All); n != 1 || h.LoginResults.All[0] != "spectrum LoggedIn" {
		t.Errorf("the metrics count %q", h.LoginResults.All)
	}
	h.CheckNoSecretInAudit()
}

func TestTokens_EndAtRequestedLifetime(t *testing.T) {
	for name, x := range map[string]struct {
		operation, parameters string
		steps                 []time.Duration // between uses
		valid                 bool
	}{
		"a session in use, before its end":     {"getAccessExpiringToken", minutes("60"), []time.Duration{20 * time.Minute, 20 * time.Minute, 20*time.Minute - time.Second}, true},
		"a session in use, at its end":         {"getAccessExpiringToken", minutes("60"), []time.Duration{20 * time.Minute, 20 * time.Minute, 20 * time.Minute}, false},
		"a session, unused for half an hour":   {"getAccessExpiringToken", minutes("60"), []time.Duration{30 * time.Minute}, false},
		"a session in use, without an end":     {"getAccessExpiringToken", minutes("0"), slices.Repeat([]time.Duration{29 * time.Minute}, 100), true},
		"a session of an operation without it": {"getAccessToken", "", slices.Repeat([]time.Duration{29 * time.Minute}, 100), true},
		"an open token, before its end":        {"getAccessExpiringTokenForAll", minutes("60"), []time.Duration{time.Hour - time.Second}, true},
		"an open token, at its end":            {"getAccessExpiringTokenForAll", minutes("60"), []time.Duration{time.Hour}, false},
		"white space around the minutes":       {"getAccessExpiringToken", minutes("\n  60\t "), []time.Duration{20 * time.Minute, 20 * time.Minute, 20 * time.Minute}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := servertest.NewLoginServer(t)
			tok := newToken(t, h, x.operation, x.parameters)
			valid := false
			for _, step := range x.steps {
				h.Clock.Advance(step)
				valid = h.IsValid(tok.Token, servertest.Cookies("SESSION="+tok.Session))
			}
			if valid != x.valid {
				t.Errorf("valid: %t", valid)
			}
		})
	}
}

// Clients of other makes write more around the same operation.
func TestTokens_FormsOfMessages(t *testing.T) {
	h := servertest.NewLoginServer(t)
	operation := soap11.call("getAccessExpiringToken", minutes("5"))
	security := `<s:Header><w:Security xmlns:w="urn:wsse"><w:UsernameToken><w:Username>x</w:Username><w:Password>` + servertest.PasswordMark + `</w:Password></w:UsernameToken></w:Security></s:Header>`
	for name, x := range map[string]struct {
		kind, text string
		headers    []servertest.RequestOption
	}{
		"no header":                            {"text/xml", strings.ReplaceAll(operation, "<s:Header/>", ""), nil},
		"a charset in upper case":              {"text/xml; charset=UTF-8", operation, nil},
		"a charset in quotes":                  {`text/xml;charset="utf-8"`, operation, nil},
		"an XML declaration":                   {"text/xml", `<?xml version="1.0" encoding="UTF-8" standalone="no"?>` + "\n" + operation + "\n", nil},
		"a byte order mark":                    {"text/xml", "\uFEFF" + operation, nil},
		"comments and CDATA":                   {"text/xml", "<!-- a -->" + strings.ReplaceAll(operation, ">5<", "><!-- b --><![CDATA[5]]><") + "<!-- c -->", nil},
		"a character reference":                {"text/xml", strings.ReplaceAll(operation, ">5<", ">&#53;<"), nil},
		"a parameter in the namespace":         {"text/xml", soap11.call("getAccessExpiringToken", `<t:tokenLifeInMinutes>5</t:tokenLifeInMinutes>`), nil},
		"a default namespace":                  {"text/xml", soap11.message(`<getAccessExpiringToken xmlns="` + namespacePB + `"><tokenLifeInMinutes>5</tokenLifeInMinutes></getAccessExpiringToken>`), nil},
		"a type of the parameter":              {"text/xml", strings.Replace(operation, "<tokenLifeInMinutes>", `<tokenLifeInMinutes xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns:d="http://www.w3.org/2001/XMLSchema" i:type="d:int">`, 1), nil},
		"an unknown parameter":                 {"text/xml", soap11.call("getAccessExpiringToken", "<other><of>x</of></other>"+minutes("5")), nil},
		"a style of encoding":                  {"text/xml", strings.Replace(operation, "<s:Body>", `<s:Body s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">`, 1), nil},
		"a WS-Security header":                 {"text/xml", strings.ReplaceAll(operation, "<s:Header/>", security), nil},
		"one that need not be understood":      {"text/xml", strings.ReplaceAll(operation, "<s:Header/>", strings.Replace(security, "<w:Security", `<w:Security s:mustUnderstand="0"`, 1)), nil},
		"one for another node":                 {"text/xml", strings.ReplaceAll(operation, "<s:Header/>", strings.Replace(security, "<w:Security", `<w:Security s:actor="urn:gateway" s:mustUnderstand="1"`, 1)), nil},
		"an empty SOAPAction":                  {"text/xml", operation, []servertest.RequestOption{servertest.Header("Soapaction", `""`)}},
		"a SOAPAction without a value":         {"text/xml", operation, []servertest.RequestOption{servertest.Header("Soapaction", "")}},
		"the operation as SOAPAction":          {"text/xml", operation, []servertest.RequestOption{servertest.Header("Soapaction", `"getAccessExpiringToken"`)}},
		"it without quotes":                    {"text/xml", operation, []servertest.RequestOption{servertest.Header("Soapaction", `getAccessExpiringToken`)}},
		"it after the namespace":               {"text/xml", operation, []servertest.RequestOption{servertest.Header("Soapaction", `"`+namespacePB+`getAccessExpiringToken"`)}},
		"it after a number sign":               {"text/xml", operation, []servertest.RequestOption{servertest.Header("Soapaction", `"`+namespacePB+`#getAccessExpiringToken"`)}},
		"an action of SOAP 1.2":                {`application/soap+xml; charset=utf-8; action="` + namespacePB + `getAccessExpiringToken"`, soap12.call("getAccessExpiringToken", minutes("5")), nil},
		"SOAP 1.2 as text/xml":                 {"text/xml", soap12.call("getAccessExpiringToken", minutes("5")), nil},
		"a header of SOAP 1.2 for another one": {"application/soap+xml", strings.ReplaceAll(soap12.call("getAccessExpiringToken", minutes("5")), "<s:Header/>", strings.Replace(security, "<w:Security", `<w:Security s:role="http://www.w3.org/2003/05/soap-envelope/role/none" s:mustUnderstand="true"`, 1)), nil},
	} {
		for _, path := range []string{pathManager, pathManager + "/"} {
			got, a := post(h, path, append(x.headers, servertest.Basic("alice"), servertest.RawBody(x.kind, x.text))...)
			if got.Status != http.StatusOK || a.token().Token == "" || strings.Contains(got.Body, servertest.PasswordMark) {
				t.Errorf("%s at %s: %d %s", name, path, got.Status, got.Body)
			}
		}
	}
	h.CheckNoSecretInAudit()
}
