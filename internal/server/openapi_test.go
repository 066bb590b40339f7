package server_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/testing/servertest"
)

// memberAt returns the value at a path of member names.
func memberAt(in any, names ...string) any {
	for _, name := range names {
		object, _ := in.(map[string]any)
		in = object[name]
	}
	return in
}

func asObject(in any) map[string]any {
	object, _ := in.(map[string]any)
	return object
}

func loadOpenAPI(t *testing.T) map[string]any {
	t.Helper()
	h := servertest.NewLoginServer(t)
	if err := servertest.OpenAPI().Load(h.Document()); err != nil {
		t.Fatal(err)
	}
	return servertest.OpenAPI().Document
}

// operationsIn returns the operations of the document by method and path.
func operationsIn(doc map[string]any) map[string]map[string]any {
	all := map[string]map[string]any{}
	for path, at := range asObject(doc["paths"]) {
		for method, operation := range asObject(at) {
			all[strings.ToUpper(method)+" "+path] = asObject(operation)
		}
	}
	return all
}

func TestOpenAPI_ReferencesResolve(t *testing.T) {
	doc := loadOpenAPI(t)
	if doc["openapi"] != "3.1.0" || memberAt(doc, "info", "title") == "" || memberAt(doc, "info", "version") == "" {
		t.Errorf("%v %v", doc["openapi"], doc["info"])
	}
	var references []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if to, is := v["$ref"].(string); is {
				references = append(references, to)
			}
			for _, each := range v {
				walk(each)
			}
		case []any:
			for _, each := range v {
				walk(each)
			}
		}
	}
	walk(doc)
	if len(references) < 20 {
		t.Errorf("no more than %d references", len(references))
	}
	used := map[string]bool{}
	for _, to := range references {
		name, local := strings.CutPrefix(to, "#/components/schemas/")
		if !local || memberAt(doc, "components", "schemas", name) == nil {
			t.Errorf("%s refers to nothing", to)
		}
		used[name] = true
	}
	for name := range asObject(memberAt(doc, "components", "schemas")) {
		if !used[name] {
			t.Errorf("the schema %s is not used", name)
		}
		if _, err := servertest.OpenAPI().Schema("/components/schemas/" + name); err != nil {
			t.Errorf("the schema %s: %v", name, err)
		}
	}
}

func TestOpenAPI_OperationsAreComplete(t *testing.T) {
	doc := loadOpenAPI(t)
	variable := regexp.MustCompile(`\{(\w+)\}`)
	ids, tags := map[string]bool{}, map[string]bool{}
	list, _ := doc["tags"].([]any)
	for _, tag := range list {
		tags[memberAt(tag, "name").(string)] = true
	}
	for name, operation := range operationsIn(doc) {
		id, _ := operation["operationId"].(string)
		if id == "" || ids[id] {
			t.Errorf("%s has the id %q, maybe as another", name, id)
		}
		for _, text := range []string{"summary", "description"} {
			if said, _ := operation[text].(string); said == "" {
				t.Errorf("%s has no %s", name, text)
			}
		}
		ids[id] = true
		tagged, _ := operation["tags"].([]any)
		if len(tagged) != 1 || !tags[tagged[0].(string)] {
			t.Errorf("%s has the tags %v", name, tagged)
		}
		var want, got []string
		for _, m := range variable.FindAllStringSubmatch(name, -1) {
			want = append(want, m[1])
		}
		parameters, _ := operation["parameters"].([]any)
		for _, p := range parameters {
			if memberAt(p, "schema", "type") == nil || memberAt(p, "description") == "" {
				t.Errorf("%s: %v", name, p)
			}
			if memberAt(p, "in") == "path" {
				got = append(got, memberAt(p, "name").(string))
				if memberAt(p, "required") != true {
					t.Errorf("%s: a parameter in the path is not required", name)
				}
			}
		}
		if !slices.Equal(want, got) {
			t.Errorf("%s has the parameters %q", name, got)
		}
		if memberAt(operation, "responses", "200") == nil {
			t.Errorf("%s never succeeds", name)
		}
		for status, response := range asObject(operation["responses"]) {
			if schema := memberAt(response, "content", "application/json", "schema"); schema == nil && !strings.HasPrefix(name, "GET /verify") || memberAt(response, "description") == "" {
				t.Errorf("%s, %s: %v", name, status, response)
			}
		}
	}
}

func TestOpenAPI_EveryOperationHasExamplesThatMatchItsSchemas(t *testing.T) {
	const content = "/content/application~1json"
	document := loadOpenAPI(t)
	for name, operation := range operationsIn(document) {
		method, path, _ := strings.Cut(name, " ")
		at := "/paths/" + servertest.JSONPointerEscaper.Replace(path) + "/" + strings.ToLower(method)
		bodies := []string{"/responses/200" + content}
		if operation["requestBody"] != nil {
			if memberAt(operation, "requestBody", "content", "application/json") == nil { // a form
				bodies = append(bodies, "/requestBody/content/application~1x-www-form-urlencoded")
			} else {
				bodies = append(bodies, "/requestBody"+content)
			}
		}
		if headers := asObject(memberAt(operation, "responses", "200", "headers")); memberAt(operation, "responses", "200", "content") == nil && len(headers) > 0 {
			bodies = bodies[1:]
			for header, value := range headers {
				if _, is := memberAt(value, "example").(string); !is {
					t.Errorf("%s: the header %s has no example", name, header)
				}
			}
		}
		for _, body := range bodies {
			example := pointedAt(document, at+body+"/example")
			if example == nil {
				t.Errorf("%s%s has no example", name, body)
				continue
			}
			schema, err := servertest.OpenAPI().Schema(at + body + "/schema")
			if err == nil {
				err = schema.Validate(example)
			}
			if err != nil {
				t.Errorf("%s%s: %v", name, body, err)
			}
		}
	}
}

// pointedAt returns the value at a JSON pointer.
func pointedAt(in any, pointer string) any {
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		in = memberAt(in, strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
	}
	return in
}

// Every route is in the document, or in this list with the reason why it is not.
func TestOpenAPI_DescribesEveryRoute(t *testing.T) {
	without := map[string]string{
		"GET /security/rest":                  "its answer is WADL",
		"GET /security/rest/":                 "its answer is WADL",
		"GET /security/TokenManagerService":   "its answer is WSDL",
		"GET /security/TokenManagerService/":  "its answer is WSDL",
		"POST /security/TokenManagerService":  "it is SOAP",
		"POST /security/TokenManagerService/": "it is SOAP",
		"GET /security/TokenLogoutService":    "its answer is WSDL",
		"GET /security/TokenLogoutService/":   "its answer is WSDL",
		"POST /security/TokenLogoutService":   "it is SOAP",
		"POST /security/TokenLogoutService/":  "it is SOAP",
		"GET /openapi.json":                   "it is the document",
	}
	h := servertest.NewLoginServer(t)
	described := operationsIn(loadOpenAPI(t))
	routes := server.Routes(h.Endpoints)
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		if method == "" {
			method = http.MethodGet // /verify serves every method alike
		}
		// Existing programs know the same operation by this path.
		if rest, second := strings.CutPrefix(path, "/admin-api"); second {
			if !slices.Contains(routes, method+" "+rest) {
				t.Errorf("%s has no twin", route)
			}
			continue
		}
		if _, is := described[method+" "+path]; is == (without[route] != "") {
			t.Errorf("%s is in the document: %t", route, is)
		}
		delete(described, method+" "+path)
	}
	for name := range described {
		t.Errorf("%s is described, and is not there", name)
	}
}

func TestOpenAPI_SecuritySchemesFitSwaggerUI(t *testing.T) {
	doc := loadOpenAPI(t)
	schemes := asObject(memberAt(doc, "components", "securitySchemes"))
	for at, want := range map[string]any{
		"login/type": "oauth2", "login/flows/password/tokenUrl": "/oauth2/token", "login/flows/password/refreshUrl": "/oauth2/token",
		"token/type": "http", "token/scheme": "bearer", "securityToken/type": "apiKey", "securityToken/in": "header", "securityToken/name": "X-Security-Token",
		"password/type": "http", "password/scheme": "basic",
	} {
		if got := memberAt(schemes, strings.Split(at, "/")...); got != want {
			t.Errorf("%s is %v, want %v", at, got, want)
		}
	}
	if scopes, is := memberAt(schemes, "login", "flows", "password", "scopes").(map[string]any); !is || len(scopes) > 0 {
		t.Errorf("the scopes of the flow are %v; they are required", scopes)
	}
	for name, operation := range operationsIn(doc) {
		list, _ := operation["security"].([]any)
		_, path, _ := strings.Cut(name, " ")
		open := slices.Contains([]string{"/auth/login", "/auth/refresh", "/account/v1/login", "/oauth2/token", "/oauth2/revoke", "/.well-known/oauth-authorization-server"}, path)
		if open != (len(list) == 0) {
			t.Errorf("%s wants %v", name, list)
		}
		for _, each := range list {
			for scheme := range asObject(each) {
				if schemes[scheme] == nil {
					t.Errorf("%s wants %s, which is none", name, scheme)
				}
			}
		}
	}
}

// A token that is made in a request is in its response. A rotation may be one of a declared token,
// whose new version goes into a Secret.
func TestOpenAPI_OnlyRotationsAnswer202(t *testing.T) {
	for name, operation := range operationsIn(loadOpenAPI(t)) {
		if later := memberAt(operation, "responses", "202") != nil; later != strings.HasSuffix(name, "/rotate") {
			t.Errorf("%s may be answered 202: %t", name, later)
		}
	}
}

func TestOpenAPI_HoldsNoSecret(t *testing.T) {
	h := servertest.NewLoginServer(t)
	text := h.Document()
	if found := regexp.MustCompile(`at[aulsorc]_[0-9A-Za-z]{10}|\$argon2|\$2[aby]\$|MARKED|127\.0\.0\.1|localhost`).FindString(text); found != "" {
		t.Errorf("it has %q", found)
	}
	for name, properties := range asObject(memberAt(loadOpenAPI(t), "components", "schemas")) {
		for property, schema := range asObject(memberAt(properties, "properties")) {
			if slices.Contains([]string{"password", "refresh_token", "client_secret"}, property) && strings.HasSuffix(name, "Body") && memberAt(schema, "format") != "password" {
				t.Errorf("%s.%s is not marked as a password", name, property)
			}
		}
	}
}

// The bodies that the tests send match the document.
func TestOpenAPI_ValidRequestsMatchSchemas(t *testing.T) {
	loadOpenAPI(t)
	for at, bodies := range map[string][]string{
		"/auth/login":       {`{"username":"a","password":"b"}`, `{"username":"a","password":"b","account_id":1001,"auth_only":true}`},
		"/auth/refresh":     {`{"refresh_token":"a"}`},
		"/auth/masquerade":  {`{"account_id":2002}`},
		"/account/v1/login": {`{"username":"a","password":"b","account_id":1}`},
		"/oauth2/token":     {`{"grant_type":"password","username":"a","password":"b","client_id":"c","client_secret":"d","account_id":1}`, `{"grant_type":"refresh_token","refresh_token":"a"}`},
		servertest.PathUserTokens + "/{name}/clone":                                         {`{"name":"a"}`},
		strings.Replace(servertest.PathAcmeTokens, "acme", "{client}", 1) + "/{name}/clone": {`{"name":"a"}`},
	} {
		schema, err := servertest.OpenAPI().Schema("/paths/" + servertest.JSONPointerEscaper.Replace(at) + "/post/requestBody/content/application~1json/schema")
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range bodies {
			body, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			if err == nil {
				err = schema.Validate(body)
			}
			if err != nil {
				t.Errorf("%s, %s: %v", at, text, err)
			}
		}
	}
	for at, text := range map[string]string{"put": `{"roles":["a"],"permissions":[],"sourceRanges":[],"lifetime":"720h"}`, "patch": `{"state":"Suspended","roles":[]}`} {
		schema, err := servertest.OpenAPI().Schema("/paths/" + servertest.JSONPointerEscaper.Replace(servertest.PathUserTokens+"/{name}") + "/" + at + "/requestBody/content/application~1json/schema")
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := jsonschema.UnmarshalJSON(strings.NewReader(text)); schema.Validate(body) != nil {
			t.Errorf("%s: %v", at, schema.Validate(body))
		}
	}
}
