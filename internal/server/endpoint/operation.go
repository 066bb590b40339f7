package endpoint

import (
	"net/http"
)

// Operation is one method at one path. A segment in braces matches any text, which r.PathValue
// returns.
type Operation struct {
	Method string // empty: any method
	Path   string
	Serve  http.HandlerFunc
	// Fault writes an error response of a protocol that has no JSON; nil: WriteJSON writes it.
	Fault func(http.ResponseWriter, int, Fault)
	// IsPublic is set if all callers get the same response, without a credential. So it is served
	// whatever page asks.
	IsPublic bool
	Doc      Description
}

// WriteFault writes an error response of an operation that was not served.
func (op *Operation) WriteFault(w http.ResponseWriter, status int, f Fault) {
	if op.Fault != nil {
		op.Fault(w, status, f)
		return
	}
	WriteJSON(w, status, f)
}

// ServesMethod reports whether an operation serves a method. HEAD is served like GET, unless the
// GET changes something.
func (op *Operation) ServesMethod(method string) bool {
	return op.Method == "" || op.Method == method || method == http.MethodHead && op.Method == http.MethodGet && !op.Doc.HasSideEffect
}

// Description describes an operation in the OpenAPI document. The document omits operations without
// an id.
type Description struct {
	Id, Tag, Summary string
	Text             string // description: complete sentences
	Path             []Param
	Query            []Param
	Headers          []Param
	Body             any       // an example of it; nil: no body
	BodyEncodings    encodings // of the body
	IsBodyOptional   bool      // the body may be absent
	Callers          CallerKind
	Response         any     // an example of the response body, in JSON; nil: no body
	Alternative      any     // alternative to answer; nil: none
	Sets             []Param // headers of the response, with examples
	ResponseText     string  // description of the response; empty: OK
	HasSideEffect    bool    // a GET that changes something, so it does not serve HEAD
	IsDeferred       bool    // the response may also be a 202
	TokenHeader      string  // response header that carries a token
	ErrorStatuses    []int   // statuses, beside those that body and by imply
}

// Param is a parameter.
type Param struct {
	Name, Text string
	IsInteger  bool   // an integer; otherwise a string
	Example    string // of a response header
}

// encodings are the media types of a request body.
type encodings []string

// Media types of bodies.
const (
	inForm      = "application/x-www-form-urlencoded"
	inMultipart = "multipart/form-data"
	InJSON      = "application/json"
)

// The media types that an operation reads.
var (
	FormOnly    = encodings{inForm}
	AnyEncoding = encodings{inForm, inMultipart, InJSON}
)

// CallerKind is the set of callers that an operation accepts.
type CallerKind int

// The kinds of callers.
const (
	CallersAny          CallerKind = iota
	CallersWithToken               // callers with a token
	CallersWithPassword            // callers with a name and a password
	CallersWithEither              // callers with either
)

// Tags of operations, in the order of the document.
const (
	TagOAuth      = "OAuth 2.0"
	TagClient     = "Application tokens of a client"
	TagUser       = "Application tokens of a user"
	TagFunnelback = "Login: Funnelback"
	TagTele       = "Login: TeleTracker"
	TagSpectrum   = "Login: Spectrum"
	TagVerify     = "Verification"
)

// WithAdminPrefix returns operations at their paths and below /admin-api, which existing programs
// use. The document has the shorter paths alone.
func WithAdminPrefix(ops ...Operation) []Operation {
	all := ops
	for _, op := range ops {
		all = append(all, Operation{Method: op.Method, Path: "/admin-api" + op.Path, Serve: op.Serve, Fault: op.Fault})
	}
	return all
}
