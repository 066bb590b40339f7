package soap

import "net/http"

// version is a version of SOAP.
type version struct {
	envelope     string // namespace of the elements of an envelope
	mediaType    string
	actor        string   // attribute that names the node for which a header is meant
	actors       []string // values of actor that mean this server, beside none
	codes        [4]string
	callerStatus int // status of a fault about the caller's message
}

// The versions of SOAP.
var (
	soap11 = &version{
		envelope: "http://schemas.xmlsoap.org/soap/envelope/", mediaType: "text/xml",
		actor: "actor", actors: []string{"", "http://schemas.xmlsoap.org/soap/actor/next"},
		codes: [...]string{caller: "Client", server: "Server", versionMismatch: "VersionMismatch", mustUnderstand: "MustUnderstand"},
		// SOAP 1.1, section 6.2: a fault has the status 500, also if the caller has caused it.
		callerStatus: http.StatusInternalServerError,
	}
	soap12 = &version{
		envelope: "http://www.w3.org/2003/05/soap-envelope", mediaType: "application/soap+xml",
		actor: "role", actors: []string{
			"", "http://www.w3.org/2003/05/soap-envelope/role/next", "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver",
		},
		codes: [...]string{caller: "Sender", server: "Receiver", versionMismatch: "VersionMismatch", mustUnderstand: "MustUnderstand"},
		// SOAP 1.2 part 2, table 20.
		callerStatus: http.StatusBadRequest,
	}
)

// versionOf returns the version whose envelope has a namespace, or nil.
func versionOf(namespace string) *version {
	for _, v := range []*version{soap11, soap12} {
		if v.envelope == namespace {
			return v
		}
	}
	return nil
}

// faultCode is the cause of a fault.
type faultCode int

// The fault codes.
const (
	caller faultCode = iota
	server
	versionMismatch
	mustUnderstand
)
