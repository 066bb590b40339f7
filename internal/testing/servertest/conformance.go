package server_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// openAPIDocument is the OpenAPI document of a test server, with the compiler of its schemas.
type openAPIDocument struct {
	document map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema // by JSON pointer
}

var description = sync.OnceValue(func() *openAPIDocument {
	return &openAPIDocument{schemas: map[string]*jsonschema.Schema{}}
})

func (d *openAPIDocument) load(text string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.compiler != nil {
		return nil
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	d.document, _ = document.(map[string]any)
	d.compiler = jsonschema.NewCompiler()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	return d.compiler.AddResource("openapi.json", document)
}

// template returns the document's path template for a path, and its operations.
func (d *openAPIDocument) template(path string) (string, map[string]any) {
	path = strings.TrimPrefix(path, "/admin-api")
	all, _ := d.document["paths"].(map[string]any)
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

// schema compiles the schema at a JSON pointer.
func (d *openAPIDocument) schema(at string) (*jsonschema.Schema, error) {
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

var jsonPointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// checkConformance checks that a response is as the document describes it. Errors of operations
// that the document does not describe must be faults.
func (h *loginFixture) checkConformance(method, path string, got httpResponse) {
	h.t.Helper()
	d := description()
	if err := d.load(h.document()); err != nil {
		h.t.Fatal(err)
	}
	template, at := d.template(path)
	operation, _ := at[strings.ToLower(method)].(map[string]any)
	if strings.ToUpper(method) != method || got.body == notFoundBody && !strings.Contains(template, "{name}") && !strings.Contains(template, "{client}") { // "get" is no method, and a path with an escaped slash is not described
		operation = nil
	}
	where := "/components/schemas/Fault"
	if operation != nil {
		status := strconv.Itoa(got.status)
		responses, _ := operation["responses"].(map[string]any)
		response, is := responses[status].(map[string]any)
		if !is {
			h.t.Errorf("%s %s answers %d, and the document says nothing of it: %s", method, template, got.status, got.body)
			return
		}
		content, _ := response["content"].(map[string]any)
		if content == nil {
			if got.body != "" {
				h.t.Errorf("%s %s answers %s, and the document knows of no body", method, template, got.body)
			}
			return
		}
		where = "/paths/" + jsonPointerEscaper.Replace(template) + "/" + strings.ToLower(method) + "/responses/" + status + "/content/application~1json/schema"
	} else if got.status < 300 || got.body == "" || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
		return
	}
	schema, err := d.schema(where)
	if err != nil {
		h.t.Fatal(err)
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(got.body))
	if err == nil {
		err = schema.Validate(body)
	}
	if err != nil || got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" {
		h.t.Errorf("%s %s: %d %v %s is not as the document says: %v", method, path, got.status, got.header, got.body, err)
	}
}

// document returns the OpenAPI document.
func (h *loginFixture) document() string {
	h.t.Helper()
	if h.openAPI == "" {
		req, _ := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+"/openapi.json", nil)
		res, err := client.RoundTrip(req)
		if err != nil {
			h.t.Fatal(err)
		}
		defer res.Body.Close()
		var text json.RawMessage
		if err := json.NewDecoder(res.Body).Decode(&text); err != nil {
			h.t.Fatal(err)
		}
		h.openAPI = string(text)
	}
	return h.openAPI
}
