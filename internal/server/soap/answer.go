package soap

import (
	"encoding/xml"
	"errors"
	"net/http"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
)

// fault is the reason why a message is not accepted. No text in it is taken from the message.
type fault struct {
	code   faultCode
	status int // of the response; 0: that of the version for its code
	reason string
}

func (f *fault) Error() string { return f.reason }

// callerFault returns a fault that the caller has caused.
func callerFault(reason string) error { return &fault{reason: reason} }

// faultOf returns the fault for an error. An error of a login becomes the status and the text that
// all protocols share. faultOf sets Retry-After where the caller may retry.
func faultOf(w http.ResponseWriter, v *version, err error) fault {
	f, is := errors.AsType[*fault](err)
	if !is {
		status, shared := loginapi.LoginFault(w, err)
		f = &fault{status: status, reason: shared.Description}
		if status >= http.StatusInternalServerError {
			f.code = server
		}
	}
	written := *f
	switch {
	case f.status != 0 && f.status != http.StatusBadRequest:
	case f.code == caller:
		written.status = v.callerStatus
	default: // SOAP 1.2 part 2, table 20: these are 500
		written.status = http.StatusInternalServerError
	}
	return written
}

// The elements of an answer. Their prefixes are part of the names: encoding/xml would repeat the
// namespace on each element, which some clients cannot read.
type (
	answerEnvelope struct {
		XMLName xml.Name `xml:"soap:Envelope"`
		SOAP    string   `xml:"xmlns:soap,attr"`
		Body    struct {
			Content any
		} `xml:"soap:Body"`
	}
	result struct {
		XMLName   xml.Name
		Namespace string     `xml:"xmlns:ns2,attr"`
		Return    *tokenInfo `xml:"return"` // nil: the operation returns nothing
	}
	// tokenInfo is the result of an operation for tokens, without a namespace as JAX-WS writes it.
	tokenInfo struct {
		Session  string `xml:"session,omitempty"`
		Token    string `xml:"token"`
		Username string `xml:"username"`
	}
	fault11 struct {
		XMLName xml.Name `xml:"soap:Fault"`
		Code    string   `xml:"faultcode"`
		Reason  string   `xml:"faultstring"`
	}
	fault12 struct {
		XMLName xml.Name `xml:"soap:Fault"`
		Code    string   `xml:"soap:Code>soap:Value"`
		Reason  struct {
			Language string `xml:"xml:lang,attr"`
			Text     string `xml:",chardata"`
		} `xml:"soap:Reason>soap:Text"`
	}
)

// writeResult writes the answer of an operation. o is nil if the operation returns nothing.
func writeResult(w http.ResponseWriter, v *version, c call, o *login.Opened) {
	out := result{XMLName: xml.Name{Local: "ns2:" + c.operation + "Response"}, Namespace: c.namespace}
	if o != nil {
		out.Return = &tokenInfo{Session: o.Session, Token: o.Token.Reveal(), Username: o.User.Username}
	}
	writeEnvelope(w, v, http.StatusOK, out)
}

// writeFault writes the answer to an error. A 401 has a challenge.
func writeFault(w http.ResponseWriter, v *version, err error, challenge []string) {
	f := faultOf(w, v, err)
	if f.status == http.StatusUnauthorized {
		w.Header()["Www-Authenticate"] = challenge
	}
	code := "soap:" + v.codes[f.code]
	if v == soap11 {
		writeEnvelope(w, v, f.status, fault11{Code: code, Reason: f.reason})
		return
	}
	out := fault12{Code: code}
	out.Reason.Language, out.Reason.Text = "en", f.reason
	writeEnvelope(w, v, f.status, out)
}

func writeEnvelope(w http.ResponseWriter, v *version, status int, body any) {
	out := answerEnvelope{SOAP: v.envelope}
	out.Body.Content = body
	text, err := xml.Marshal(out)
	if err != nil { // unreachable: this package's types marshal, whatever a caller sends
		endpoint.WriteError(w, http.StatusInternalServerError, "server_error", "this request failed here")
		return
	}
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = []string{v.mediaType + "; charset=utf-8"}, endpoint.NoStore
	endpoint.SetBrowserHeaders(header)
	w.WriteHeader(status)
	_, _ = w.Write(text) //nolint:errcheck // the caller is gone
}
