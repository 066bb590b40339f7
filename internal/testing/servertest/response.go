package servertest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
)

// JSONPaths returns the keys of a JSON response, each with its path.
func JSONPaths(prefix string, v any) []string {
	var all []string
	if object, ok := v.(map[string]any); ok {
		for key, value := range object {
			all = append(append(all, prefix+key), JSONPaths(prefix+key+".", value)...)
		}
	}
	slices.Sort(all)
	return all
}

// Response is a response with its whole body.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// JSON decodes the body.
func (r Response) JSON(t *testing.T) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.NewDecoder(bytes.NewBufferString(r.Body)).Decode(&got); err != nil {
		t.Fatalf("%v in %q", err, r.Body)
	}
	return got
}
