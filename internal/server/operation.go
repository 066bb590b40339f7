package server

import "net/http"

// operation is one method at one path. A segment in braces matches any text, which r.PathValue
// returns.
type operation struct {
	method string // empty: any method
	path   string
	serve  http.HandlerFunc
	doc    description
}

// servesMethod reports whether an operation serves a method. HEAD is served like GET, unless the
// GET changes something.
func (op *operation) servesMethod(method string) bool {
	return op.method == "" || op.method == method || method == http.MethodHead && op.method == http.MethodGet && !op.doc.hasSideEffect
}

// description describes an operation in the OpenAPI document. The document omits operations without
// an id.
type description struct {
	id, tag, summary string
	text             string // description: complete sentences
	path             []param
	query            []param
	headers          []param
	body             any       // an example of it; nil: no body
	bodyEncodings    encodings // of the body
	isBodyOptional   bool      // the body may be absent
	callers          callerKind
	response         any     // an example of the response body, in JSON; nil: no body
	alternative      any     // alternative to answer; nil: none
	sets             []param // headers of the response, with examples
	responseText     string  // description of the response; empty: OK
	hasSideEffect    bool    // a GET that changes something, so it does not serve HEAD
	isDeferred       bool    // the response may also be a 202
	tokenHeader      string  // response header that carries a token
	errorStatuses    []int   // statuses, beside those that body and by imply
	errorBody        any     // body of errors; nil: a fault
}

// param is a parameter.
type param struct {
	name, text string
	isInteger  bool   // an integer; otherwise a string
	example    string // of a response header
}

// encodings are the media types of a request body.
type encodings []string

const (
	inForm      = "application/x-www-form-urlencoded"
	inMultipart = "multipart/form-data"
	inJSON      = "application/json"
)

var (
	formOnly    = encodings{inForm}
	anyEncoding = encodings{inForm, inMultipart, inJSON}
)

// callerKind is the set of callers that an operation accepts.
type callerKind int

const (
	callersAny          callerKind = iota
	callersWithToken               // callers with a token
	callersWithPassword            // callers with a name and a password
	callersWithEither              // callers with either
)

// Tags of operations, in the order of the document.
const (
	tagOAuth      = "OAuth 2.0"
	tagClient     = "Application tokens of a client"
	tagUser       = "Application tokens of a user"
	tagFunnelback = "Login: Funnelback"
	tagTele       = "Login: TeleTracker"
	tagSpectrum   = "Login: Spectrum"
	tagVerify     = "Verification"
)

// withAdminPrefix returns operations at their paths and below /admin-api, which existing programs
// use. The document has the shorter paths alone.
func withAdminPrefix(ops ...operation) []operation {
	all := ops
	for _, op := range ops {
		all = append(all, operation{method: op.method, path: "/admin-api" + op.path, serve: op.serve})
	}
	return all
}
