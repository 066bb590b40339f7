package soap_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// Paths of the services.
const (
	pathManager = "/security/TokenManagerService"
	pathLogout  = "/security/TokenLogoutService"
)

// Namespaces of the services, and of the versions of SOAP.
const (
	namespacePB        = "http://token.security.common.server.platform.spectrum.pb.com/"
	namespacePrecisely = "http://token.security.common.server.platform.spectrum.precisely.com/"
	envelope11         = "http://schemas.xmlsoap.org/soap/envelope/"
	envelope12         = "http://www.w3.org/2003/05/soap-envelope"
)

// soapVersion is a version of SOAP, as a client writes it.
type soapVersion struct {
	envelope, mediaType string
	caller, server      string // fault codes
	callerStatus        int
}

var (
	soap11   = soapVersion{envelope11, "text/xml", "soap:Client", "soap:Server", http.StatusInternalServerError}
	soap12   = soapVersion{envelope12, "application/soap+xml", "soap:Sender", "soap:Receiver", http.StatusBadRequest}
	versions = map[string]soapVersion{"SOAP 1.1": soap11, "SOAP 1.2": soap12}
)

// message returns a message with the content of its body. The prefix s is that of the envelope,
// and t that of the namespace of Pitney Bowes.
func (v soapVersion) message(body string) string {
	return fmt.Sprintf(`<s:Envelope xmlns:s="%s" xmlns:t="%s"><s:Header/><s:Body>%s</s:Body></s:Envelope>`, v.envelope, namespacePB, body)
}

// call returns a message that calls an operation.
func (v soapVersion) call(operation, parameters string) string {
	return v.message("<t:" + operation + ">" + parameters + "</t:" + operation + ">")
}

// body sets a message as the body of a request.
func (v soapVersion) body(text string) servertest.RequestOption {
	return servertest.RawBody(v.mediaType+"; charset=utf-8", text)
}

// minutes returns the parameter of the operations whose token expires.
func minutes(text string) string {
	return "<tokenLifeInMinutes>" + text + "</tokenLifeInMinutes>"
}

// answer is the envelope of an answer, with what a client reads in it.
type answer struct {
	XMLName xml.Name
	Body    struct {
		Fault *struct {
			XMLName xml.Name
			Code11  string `xml:"faultcode"`
			Text11  string `xml:"faultstring"`
			Code12  string `xml:"Code>Value"`
			Text12  string `xml:"Reason>Text"`
		} `xml:"Fault"`
		Result struct {
			XMLName xml.Name
			Return  *tokenInfo `xml:"return"`
		} `xml:",any"`
	} `xml:"Body"`
}

type tokenInfo struct {
	Session  string `xml:"session"`
	Token    string `xml:"token"`
	Username string `xml:"username"`
}

// post calls a service, and parses the answer. Whatever the answer is, it is one well-formed
// envelope and must not be stored.
func post(h *servertest.LoginServer, path string, parts ...servertest.RequestOption) (servertest.Response, answer) {
	h.T.Helper()
	got := h.Send(http.MethodPost, path, parts...)
	if err := checkWellFormed(got.Body); err != nil {
		h.T.Errorf("%v in %s", err, got.Body)
	}
	var a answer
	if err := xml.Unmarshal([]byte(got.Body), &a); err != nil {
		h.T.Fatalf("%v in %d %s", err, got.Status, got.Body)
	}
	v := soap11
	if a.XMLName.Space == soap12.envelope {
		v = soap12
	}
	if a.XMLName != (xml.Name{Space: v.envelope, Local: "Envelope"}) || got.Header.Get("Content-Type") != v.mediaType+"; charset=utf-8" || got.Header.Get("Cache-Control") != "no-store" {
		h.T.Errorf("%d %v %s", got.Status, got.Header, got.Body)
	}
	if f := a.Body.Fault; f != nil && (f.XMLName.Space != v.envelope || (f.Code11 == "") == (v == soap11) || (f.Code12 == "") == (v == soap12)) {
		h.T.Errorf("the fault %s is not of the version of its envelope", got.Body)
	}
	if tok := a.token(); tok.Token != "" {
		h.Secrets = append(h.Secrets, tok.Token)
	}
	return got, a
}

// token returns what the operations for tokens return.
func (a answer) token() tokenInfo {
	if a.Body.Result.Return == nil {
		return tokenInfo{}
	}
	return *a.Body.Result.Return
}

// fault returns the code and the text of a fault, which are empty if there is none.
func (a answer) fault() (code, text string) {
	if f := a.Body.Fault; f != nil {
		return f.Code11 + f.Code12, f.Text11 + f.Text12
	}
	return "", ""
}

// checkWellFormed returns an error unless a text is a well-formed document.
func checkWellFormed(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// newToken returns the token that an operation issues for alice.
func newToken(t *testing.T, h *servertest.LoginServer, operation, parameters string) tokenInfo {
	t.Helper()
	got, a := post(h, pathManager, servertest.Basic("alice"), soap11.body(soap11.call(operation, parameters)))
	if got.Status != http.StatusOK || a.token().Token == "" {
		t.Fatalf("%s: %d %s", operation, got.Status, got.Body)
	}
	return a.token()
}
