package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
)

// Names of the security schemes in the document.
const (
	schemeOAuth    = "login"
	schemeBearer   = "token"
	schemeSecurity = "securityToken"
	schemeBasic    = "password"
)

var securitySchemes = map[endpoint.CallerKind][]map[string][]string{
	endpoint.CallersAny:          {},
	endpoint.CallersWithToken:    {{schemeOAuth: {}}, {schemeBearer: {}}, {schemeSecurity: {}}},
	endpoint.CallersWithPassword: {{schemeBasic: {}}},
	endpoint.CallersWithEither:   {{schemeOAuth: {}}, {schemeBearer: {}}, {schemeSecurity: {}}, {schemeBasic: {}}},
}

// openAPI returns the OpenAPI 3.1 document of operations. It panics on a type that cannot be
// described: all types are this package's own, so tests find it.
func openAPI(all []endpoint.Operation) []byte {
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	api := huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Application tokens", Version: "v1alpha1",
			Contact:     &huma.Contact{Name: "The apptoken project", URL: "https://github.com/apptoken/operator"},
			License:     &huma.License{Name: "Apache 2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"},
			Description: "Log in, and create, list, change, clone, rotate and revoke application tokens. A response that carries a token carries it once. Tokens and passwords in the examples are shortened.",
		},
		Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
			schemeOAuth: {
				Type: "oauth2", Description: "Log in with a user name and a password.",
				Flows: &huma.OAuthFlows{Password: &huma.OAuthFlow{TokenURL: "/oauth2/token", RefreshURL: "/oauth2/token", Scopes: map[string]string{}}},
			},
			schemeBearer:   {Type: "http", Scheme: "bearer", Description: "A login token or an application token."},
			schemeSecurity: {Type: "apiKey", In: "header", Name: loginapi.HeaderSecurityToken, Description: "The same tokens, in the header that programs for Funnelback send."},
			schemeBasic:    {Type: "http", Scheme: "basic", Description: "A user name and a password with each request. The check of a password is slow on purpose."},
		}},
		Servers: []*huma.Server{{URL: "/", Description: "The server that this document comes from"}},
		Tags:    tags(),
	}
	for _, op := range all {
		if op.Doc.Id != "" {
			api.AddOperation(openAPIOperation(op, registry))
		}
	}
	text, err := json.Marshal(&api)
	if err != nil {
		panic(fmt.Sprintf("encode the OpenAPI document: %v", err))
	}
	return append(text, '\n')
}

// tags returns the groups of operations, in the order in which a reader meets them.
func tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: endpoint.TagOAuth, Description: "Log in, refresh, introspect and revoke with a library for OAuth 2.0."},
		{Name: endpoint.TagClient, Description: "Application tokens that act for a client, for callers who hold the permission to manage them."},
		{Name: endpoint.TagUser, Description: "Application tokens that act for the calling user."},
		{Name: endpoint.TagFunnelback, Description: "Log in as programs for Funnelback do: the token is in a header of the response."},
		{Name: endpoint.TagTele, Description: "Log in, refresh, move to another account and log out, as programs for TeleTracker do."},
		{Name: endpoint.TagSpectrum, Description: "Get session tokens and open tokens as programs for Spectrum do, with a password in each request."},
		{Name: endpoint.TagVerify, Description: "Ask whether a token is valid, as a gateway does for each request."},
	}
}

// schemaName returns the schema name of a type.
func schemaName(t reflect.Type, hint string) string {
	if t.Name() == "" {
		return "Empty"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

func openAPIOperation(op endpoint.Operation, registry huma.Registry) *huma.Operation {
	doc := op.Doc
	method := op.Method
	if method == "" {
		method = http.MethodGet
	}
	o := &huma.Operation{
		OperationID: doc.Id, Method: method, Path: op.Path, Tags: []string{doc.Tag}, Summary: doc.Summary, Description: doc.Text,
		Security: securitySchemes[doc.Callers], Responses: map[string]*huma.Response{},
	}
	fails := slices.Clone(doc.ErrorStatuses)
	if servesPages(op.Path) && !op.IsPublic {
		fails = append(fails, http.StatusForbidden) // a page of another origin
	}
	if doc.Callers == endpoint.CallersWithPassword || doc.Callers == endpoint.CallersWithEither {
		fails = append(fails, http.StatusTooManyRequests)
		doc.Query = append(slices.Clone(doc.Query), endpoint.Param{
			Name: loginapi.FieldAccountID, IsInteger: true,
			Text: "The account_id of a client, for a caller with user name and password. Without it: the client in the path, or else the user's default account",
		})
	}
	if doc.Body != nil {
		fails = append(fails, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
		content := map[string]*huma.MediaType{}
		for _, encoding := range doc.BodyEncodings {
			content[encoding] = exampleOf(registry, doc.Body)[endpoint.InJSON]
		}
		o.RequestBody = &huma.RequestBody{Required: !doc.IsBodyOptional, Content: content}
	}
	o.Parameters = parametersOf(doc)
	o.Responses["200"] = responseOf(doc, registry)
	if doc.IsDeferred {
		o.Responses["202"] = &huma.Response{Description: "The operator writes the new version into the Secret of the token", Content: jsonContent(registry, doc.Response)}
	}
	for _, status := range fails {
		o.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: jsonContent(registry, endpoint.FaultBodyAt(op.Path))}
	}
	return o
}

// parametersOf returns the parameters of an operation.
func parametersOf(doc endpoint.Description) (all []*huma.Param) {
	for _, in := range []struct {
		place string
		list  []endpoint.Param
	}{{"path", doc.Path}, {"query", doc.Query}, {"header", doc.Headers}} {
		for _, p := range in.list {
			kind := huma.TypeString
			if p.IsInteger {
				kind = huma.TypeInteger
			}
			all = append(all, &huma.Param{Name: p.Name, In: in.place, Description: p.Text, Required: in.place == "path", Schema: &huma.Schema{Type: kind}})
		}
	}
	return all
}

// responseOf returns the response of an operation that succeeds.
func responseOf(doc endpoint.Description, registry huma.Registry) *huma.Response {
	ok := &huma.Response{Description: "OK"}
	if doc.ResponseText != "" {
		ok.Description = doc.ResponseText
	}
	if doc.Response != nil {
		ok.Content = exampleOf(registry, doc.Response)
	}
	if doc.Alternative != nil {
		either := []*huma.Schema{ok.Content[endpoint.InJSON].Schema, jsonContent(registry, doc.Alternative)[endpoint.InJSON].Schema}
		ok.Content = map[string]*huma.MediaType{endpoint.InJSON: {Schema: &huma.Schema{AnyOf: either}, Example: doc.Response}}
	}
	if doc.TokenHeader != "" {
		doc.Sets = append(slices.Clone(doc.Sets), endpoint.Param{Name: doc.TokenHeader, Text: "The token", Example: "atl_…"})
	}
	for _, p := range doc.Sets {
		if ok.Headers == nil {
			ok.Headers = map[string]*huma.Param{}
		}
		ok.Headers[p.Name] = &huma.Param{Description: p.Text, Schema: &huma.Schema{Type: huma.TypeString}, Example: p.Example}
	}
	return ok
}

// exampleOf returns jsonContent with body as the example.
func exampleOf(registry huma.Registry, body any) map[string]*huma.MediaType {
	content := jsonContent(registry, body)
	content[endpoint.InJSON].Example = body
	return content
}

func jsonContent(registry huma.Registry, shape any) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{endpoint.InJSON: {Schema: registry.Schema(reflect.TypeOf(shape), true, "")}}
}
