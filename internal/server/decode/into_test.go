package decode_test

import (
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/apptoken/operator/internal/server/decode"
)

// testBody is a body that may come as a form.
type testBody struct {
	Name  string    `json:"name"`
	Roles []string  `json:"roles,omitempty"`
	State *string   `json:"state,omitempty"`
	More  *[]string `json:"more,omitempty"`
	own   string
}

func TestReadInto_SameResultInEveryEncoding(t *testing.T) {
	state, more := "Active", []string{"c"}
	want := testBody{Name: "indexer", Roles: []string{"a", "b"}, State: &state, More: &more}
	for encoding, body := range map[string]string{
		jsonType: `{"name":"indexer","roles":["a","b"],"state":"Active","more":["c"]}`,
		formType: "name=indexer&roles=a,b&state=Active&more=c",
		"multipart/form-data; boundary=x": "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nindexer\r\n" +
			"--x\r\nContent-Disposition: form-data; name=\"roles\"\r\n\r\na,b\r\n--x\r\nContent-Disposition: form-data; name=\"state\"\r\n\r\nActive\r\n" +
			"--x\r\nContent-Disposition: form-data; name=\"more\"\r\n\r\nc\r\n--x--\r\n",
	} {
		got, err := decode.ReadInto[testBody](httptest.NewRecorder(), newRequest("", encoding, body), maxBody)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", encoding, got, err)
		}
	}
	got, err := decode.ReadInto[testBody](httptest.NewRecorder(), newRequest("", formType, ""), maxBody)
	if err != nil || !reflect.DeepEqual(got, testBody{}) || got.own != "" {
		t.Errorf("nothing: %+v, %v", got, err)
	}
}

func TestReadInto_FormWithUnknownFieldIsRefused(t *testing.T) {
	for what, body := range map[string]string{
		"a word that is misspelt": "name=a&lifetim=1h", "a field twice": "name=a&name=b", "an unexported member": "own=x",
		"an empty role": "roles=a,,b", "another case": "NAME=a", "no UTF-8": "name=%ff",
	} {
		if got, err := decode.ReadInto[testBody](httptest.NewRecorder(), newRequest("", formType, body), maxBody); err == nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
}
