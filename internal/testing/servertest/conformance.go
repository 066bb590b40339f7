package servertest

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/apptoken/operator/internal/server/endpoint"
)

// OpenAPIDocument is the OpenAPI document of a test server, with the compiler of its schemas.
type OpenAPIDocument struct {
	Document map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema // by JSON pointer
}

// OpenAPI returns the document that all test servers share. Load fills it.
var OpenAPI = sync.OnceValue(func() *OpenAPIDocument {
	return &OpenAPIDocument{schemas: map[string]*jsonschema.Schema{}}
})

// Load reads the document, unless it is loaded.
func (d *OpenAPIDocument) Load(text string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.compiler != nil {
		return nil
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	d.Document, _ = document.(map[string]any)
	d.compiler = jsonschema.NewCompiler()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	return d.compiler.AddResource("openapi.json", document)
}

// template returns the document's path template for a path, and its operations.
func (d *OpenAPIDocument) template(path string) (string, map[string]any) {
	path = strings.TrimPrefix(path, "/admin-api")
	all, _ := d.Document["paths"].(map[string]any)
	if at, is := all[path].(map[string]any); is {
		return path, at
	}
	got := strings.Split(path, "/")
	for template, at := range all {
		want := strings.Split(template, "/")
		if len(want) != len(got) {
			continue
		}
		same := true
		for i := range want {
			same = same && (want[i] == got[i] || strings.HasPrefix(want[i], "{") && strings.Trim(got[i], ".") != "")
		}
		if at, is := at.(map[string]any); is && same {
			return template, at
		}
	}
	return "", nil
}

// Schema compiles the schema at a JSON pointer.
func (d *OpenAPIDocument) Schema(at string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.schemas[at]; s != nil {
		return s, nil
	}
	s, err := d.compiler.Compile("openapi.json#" + at)
	if err == nil {
		d.schemas[at] = s
	}
	return s, err
}

// JSONPointerEscaper escapes a key for a JSON pointer.
var JSONPointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// checkConformance checks that a response is as the document describes it. Errors of operations
// that the document does not describe must be faults.
func (h *LoginServer) checkConformance(method, path string, got Response) {
	h.T.Helper()
	d := OpenAPI()
	if err := d.Load(h.Document()); err != nil {
		h.T.Fatal(err)
	}
	template, at := d.template(path)
	operation, _ := at[strings.ToLower(method)].(map[string]any)
	if strings.ToUpper(method) != method || (got.Body == NotFoundBody || got.Body == EnvelopeNotFoundBody) && !strings.Contains(template, "{name}") && !strings.Contains(template, "{client}") { // "get" is no method, and a path with an escaped slash is not described
		operation = nil
	}
	where := "/components/schemas/" + reflect.TypeOf(endpoint.FaultBodyAt(path)).Name()
	if operation != nil {
		status := strconv.Itoa(got.Status)
		responses, _ := operation["responses"].(map[string]any)
		response, is := responses[status].(map[string]any)
		if !is {
			h.T.Errorf("%s %s answers %d, and the document says nothing of it: %s", method, template, got.Status, got.Body)
			return
		}
		content, _ := response["content"].(map[string]any)
		if content == nil {
			if got.Body != "" {
				h.T.Errorf("%s %s answers %s, and the document knows of no body", method, template, got.Body)
			}
			return
		}
		where = "/paths/" + JSONPointerEscaper.Replace(template) + "/" + strings.ToLower(method) + "/responses/" + status + "/content/application~1json/schema"
	} else if got.Status < 300 || got.Body == "" || !strings.HasPrefix(got.Header.Get("Content-Type"), "application/json") {
		return
	}
	schema, err := d.Schema(where)
	if err != nil {
		h.T.Fatal(err)
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(got.Body))
	if err == nil {
		err = schema.Validate(body)
	}
	if err != nil || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Cache-Control") != "no-store" {
		h.T.Errorf("%s %s: %d %v %s is not as the document says: %v", method, path, got.Status, got.Header, got.Body, err)
	}
}

// Document returns the OpenAPI document.
func (h *LoginServer) Document() string {
	h.T.Helper()
	if h.openAPI == "" {
		req, _ := http.NewRequestWithContext(h.T.Context(), http.MethodGet, h.URL+"/openapi.json", nil)
		res, err := Transport.RoundTrip(req)
		if err != nil {
			h.T.Fatal(err)
		}
		defer res.Body.Close()
		var text json.RawMessage
		if err := json.NewDecoder(res.Body).Decode(&text); err != nil {
			h.T.Fatal(err)
		}
		h.openAPI = string(text)
	}
	return h.openAPI
}
