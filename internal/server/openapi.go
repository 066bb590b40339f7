package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// description describes an operation in the OpenAPI document. The document omits operations without
// an id.
type description struct {
	id, tag, summary string
	text             string // description: complete sentences
	path             []param
	query            []param
	headers          []param
	body             any       // an example of it; nil: no body
	in               encodings // of the body
	optional         bool      // the body may be absent
	by               who
	answer           any     // an example of the response body, in JSON; nil: no body
	or               any     // alternative to answer; nil: none
	sets             []param // headers of the response, with examples
	says             string  // description of the response; empty: OK
	acts             bool    // a GET that changes something, so it does not serve HEAD
	later            bool    // the response may also be a 202
	header           string  // response header that carries a token
	fails            []int   // statuses, beside those that body and by imply
	fault            any     // body of errors; nil: a fault
}

// param is a parameter.
type param struct {
	name, text string
	number     bool   // an integer; otherwise a string
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
	formAlone   = encodings{inForm}
	anyEncoding = encodings{inForm, inMultipart, inJSON}
)

// who is the set of callers that an operation accepts.
type who int

const (
	byAnybody   who = iota
	byToken         // callers with a token
	byName          // callers with a name and a password
	byPrincipal     // callers with either
)

// Names of the security schemes in the document.
const (
	schemeOAuth    = "login"
	schemeBearer   = "token"
	schemeSecurity = "securityToken"
	schemeBasic    = "password"
)

var schemes = map[who][]map[string][]string{
	byAnybody:   {},
	byToken:     {{schemeOAuth: {}}, {schemeBearer: {}}, {schemeSecurity: {}}},
	byName:      {{schemeBasic: {}}},
	byPrincipal: {{schemeOAuth: {}}, {schemeBearer: {}}, {schemeSecurity: {}}, {schemeBasic: {}}},
}

// openAPI returns the OpenAPI 3.1 document of operations. It panics on a type that cannot be
// described: all types are this package's own, so tests find it.
func openAPI(all []operation) []byte {
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	api := huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Application tokens", Version: "v1alpha1",
			Description: "Log in, and create, list, change, clone, rotate and revoke application tokens. A response that carries a token carries it once. Tokens and passwords in the examples are shortened.",
		},
		Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
			schemeOAuth: {
				Type: "oauth2", Description: "Log in with a user name and a password.",
				Flows: &huma.OAuthFlows{Password: &huma.OAuthFlow{TokenURL: "/oauth2/token", RefreshURL: "/oauth2/token", Scopes: map[string]string{}}},
			},
			schemeBearer:   {Type: "http", Scheme: "bearer", Description: "A login token or an application token."},
			schemeSecurity: {Type: "apiKey", In: "header", Name: headerSecurityToken, Description: "The same tokens, in the header that programs for Funnelback send."},
			schemeBasic:    {Type: "http", Scheme: "basic", Description: "A user name and a password with each request. The check of a password is slow on purpose."},
		}},
		Tags: []*huma.Tag{{Name: tagOAuth}, {Name: tagClient}, {Name: tagUser}, {Name: tagFunnelback}, {Name: tagTele}, {Name: tagSpectrum}, {Name: tagVerify}},
	}
	for _, op := range all {
		if op.doc.id != "" {
			api.AddOperation(op.described(registry))
		}
	}
	text, err := json.Marshal(&api)
	if err != nil {
		panic(fmt.Sprintf("encode the OpenAPI document: %v", err))
	}
	return append(text, '\n')
}

// schemaName returns the schema name of a type.
func schemaName(t reflect.Type, hint string) string {
	if t.Name() == "" {
		return "Empty"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

func (op operation) described(registry huma.Registry) *huma.Operation {
	doc := op.doc
	method := op.method
	if method == "" {
		method = http.MethodGet
	}
	o := &huma.Operation{
		OperationID: doc.id, Method: method, Path: op.path, Tags: []string{doc.tag}, Summary: doc.summary, Description: doc.text,
		Security: schemes[doc.by], Responses: map[string]*huma.Response{},
	}
	fails := slices.Clone(doc.fails)
	if doc.by == byName || doc.by == byPrincipal {
		fails = append(fails, http.StatusTooManyRequests)
		doc.query = append(slices.Clone(doc.query), param{
			name: fieldAccountID, number: true,
			text: "The account_id of a client, for a caller with user name and password. Without it: the client in the path, or else the user's default account",
		})
	}
	if doc.body != nil {
		fails = append(fails, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
		content := map[string]*huma.MediaType{}
		for _, encoding := range doc.in {
			content[encoding] = exampleOf(registry, doc.body)[inJSON]
		}
		o.RequestBody = &huma.RequestBody{Required: !doc.optional, Content: content}
	}
	for _, in := range []struct {
		place string
		list  []param
	}{{"path", doc.path}, {"query", doc.query}, {"header", doc.headers}} {
		for _, p := range in.list {
			kind := huma.TypeString
			if p.number {
				kind = huma.TypeInteger
			}
			o.Parameters = append(o.Parameters, &huma.Param{
				Name: p.name, In: in.place, Description: p.text, Required: in.place == "path", Schema: &huma.Schema{Type: kind},
			})
		}
	}
	ok := &huma.Response{Description: "OK"}
	if doc.says != "" {
		ok.Description = doc.says
	}
	if doc.answer != nil {
		ok.Content = exampleOf(registry, doc.answer)
	}
	if doc.or != nil {
		either := []*huma.Schema{ok.Content[inJSON].Schema, jsonOf(registry, doc.or)[inJSON].Schema}
		ok.Content = map[string]*huma.MediaType{inJSON: {Schema: &huma.Schema{AnyOf: either}, Example: doc.answer}}
	}
	if doc.header != "" {
		doc.sets = append(slices.Clone(doc.sets), param{name: doc.header, text: "The token", example: "atl_…"})
	}
	for _, p := range doc.sets {
		if ok.Headers == nil {
			ok.Headers = map[string]*huma.Param{}
		}
		ok.Headers[p.name] = &huma.Param{Description: p.text, Schema: &huma.Schema{Type: huma.TypeString}, Example: p.example}
	}
	o.Responses["200"] = ok
	if doc.later {
		o.Responses["202"] = &huma.Response{Description: "The operator writes the new version into the Secret of the token", Content: jsonOf(registry, doc.answer)}
	}
	if doc.fault == nil {
		doc.fault = fault{}
	}
	for _, status := range fails {
		o.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: jsonOf(registry, doc.fault)}
	}
	return o
}

// exampleOf returns jsonOf with body as the example.
func exampleOf(registry huma.Registry, body any) map[string]*huma.MediaType {
	content := jsonOf(registry, body)
	content[inJSON].Example = body
	return content
}

func jsonOf(registry huma.Registry, shape any) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{inJSON: {Schema: registry.Schema(reflect.TypeOf(shape), true, "")}}
}
