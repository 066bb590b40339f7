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

// Names of the security schemes in the document.
const (
	schemeOAuth    = "login"
	schemeBearer   = "token"
	schemeSecurity = "securityToken"
	schemeBasic    = "password"
)

var securitySchemes = map[callerKind][]map[string][]string{
	callersAny:          {},
	callersWithToken:    {{schemeOAuth: {}}, {schemeBearer: {}}, {schemeSecurity: {}}},
	callersWithPassword: {{schemeBasic: {}}},
	callersWithEither:   {{schemeOAuth: {}}, {schemeBearer: {}}, {schemeSecurity: {}}, {schemeBasic: {}}},
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
			api.AddOperation(openAPIOperation(op, registry))
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

func openAPIOperation(op operation, registry huma.Registry) *huma.Operation {
	doc := op.doc
	method := op.method
	if method == "" {
		method = http.MethodGet
	}
	o := &huma.Operation{
		OperationID: doc.id, Method: method, Path: op.path, Tags: []string{doc.tag}, Summary: doc.summary, Description: doc.text,
		Security: securitySchemes[doc.callers], Responses: map[string]*huma.Response{},
	}
	fails := slices.Clone(doc.errorStatuses)
	if doc.callers == callersWithPassword || doc.callers == callersWithEither {
		fails = append(fails, http.StatusTooManyRequests)
		doc.query = append(slices.Clone(doc.query), param{
			name: fieldAccountID, isInteger: true,
			text: "The account_id of a client, for a caller with user name and password. Without it: the client in the path, or else the user's default account",
		})
	}
	if doc.body != nil {
		fails = append(fails, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
		content := map[string]*huma.MediaType{}
		for _, encoding := range doc.bodyEncodings {
			content[encoding] = exampleOf(registry, doc.body)[inJSON]
		}
		o.RequestBody = &huma.RequestBody{Required: !doc.isBodyOptional, Content: content}
	}
	for _, in := range []struct {
		tokenPlaceholder string
		list             []param
	}{{"path", doc.path}, {"query", doc.query}, {"header", doc.headers}} {
		for _, p := range in.list {
			kind := huma.TypeString
			if p.isInteger {
				kind = huma.TypeInteger
			}
			o.Parameters = append(o.Parameters, &huma.Param{
				Name: p.name, In: in.tokenPlaceholder, Description: p.text, Required: in.tokenPlaceholder == "path", Schema: &huma.Schema{Type: kind},
			})
		}
	}
	ok := &huma.Response{Description: "OK"}
	if doc.responseText != "" {
		ok.Description = doc.responseText
	}
	if doc.response != nil {
		ok.Content = exampleOf(registry, doc.response)
	}
	if doc.alternative != nil {
		either := []*huma.Schema{ok.Content[inJSON].Schema, jsonContent(registry, doc.alternative)[inJSON].Schema}
		ok.Content = map[string]*huma.MediaType{inJSON: {Schema: &huma.Schema{AnyOf: either}, Example: doc.response}}
	}
	if doc.tokenHeader != "" {
		doc.sets = append(slices.Clone(doc.sets), param{name: doc.tokenHeader, text: "The token", example: "atl_…"})
	}
	for _, p := range doc.sets {
		if ok.Headers == nil {
			ok.Headers = map[string]*huma.Param{}
		}
		ok.Headers[p.name] = &huma.Param{Description: p.text, Schema: &huma.Schema{Type: huma.TypeString}, Example: p.example}
	}
	o.Responses["200"] = ok
	if doc.isDeferred {
		o.Responses["202"] = &huma.Response{Description: "The operator writes the new version into the Secret of the token", Content: jsonContent(registry, doc.response)}
	}
	if doc.errorBody == nil {
		doc.errorBody = fault{}
	}
	for _, status := range fails {
		o.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: jsonContent(registry, doc.errorBody)}
	}
	return o
}

// exampleOf returns jsonContent with body as the example.
func exampleOf(registry huma.Registry, body any) map[string]*huma.MediaType {
	content := jsonContent(registry, body)
	content[inJSON].Example = body
	return content
}

func jsonContent(registry huma.Registry, shape any) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{inJSON: {Schema: registry.Schema(reflect.TypeOf(shape), true, "")}}
}
