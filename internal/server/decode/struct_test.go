package decode_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/server/decode"
)

// application is a body with every kind of member.
type application struct {
	common
	Name    string            `json:"name"`
	Account int64             `json:"account_id,omitempty"`
	Small   int8              `json:"small"`
	Flag    *bool             `json:"flag"`
	Roles   []string          `json:"roles"`
	Inner   *inner            `json:"inner"`
	Many    []inner           `json:"many"`
	By      map[string]inner  `json:"by"`
	Words   map[string]string `json:"words"`
	Any     any               `json:"any"`
	When    time.Time         `json:"when"`
	From    netip.Addr        `json:"from"`
	Raw     json.RawMessage   `json:"raw"`
	Quoted  int               `json:"quoted,string"`
	Bytes   []byte            `json:"bytes"`
	Bare    string
	Never   string `json:"-"`
}

type common struct {
	Kind string `json:"kind"`
}

type inner struct {
	Deep  string   `json:"deep"`
	Next  *inner   `json:"next"`
	Texts []string `json:"texts"`
}

func readApplication(body string) (application, error) {
	return decode.ReadInto[application](httptest.NewRecorder(), newRequest("", jsonType+"; charset=utf-8", body), maxBody)
}

func TestReadInto_MatchesEncodingJSON(t *testing.T) {
	for _, body := range []string{
		"", "{}", `{"name":"a","account_id":9223372036854775807,"small":-128,"flag":false,"roles":["a","b"]}`, `{"kind":"k","Bare":"b"}`,
		`{"inner":{"deep":"d","next":{"next":{"texts":["x"]}}},"many":[{"deep":"1"},{}],"by":{"x":{"deep":"2"},"X":{}},"words":{"a":"1","A":"2"}}`,
		`{"when":"2026-01-15T12:00:00Z","from":"192.0.2.1","raw":{"Any":["thing"]},"quoted":"5","bytes":"AAE="}`,
		`{"name":null,"flag":null,"roles":null,"inner":null,"words":null,"any":null}`, `{"any":{"x":["y",true,null]}}`,
	} {
		var want application
		if body != "" {
			if err := json.Unmarshal([]byte(body), &want); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := readApplication(body); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	if got, err := readApplication(`{"any":9007199254740993}`); err != nil || got.Any != json.Number("9007199254740993") {
		t.Errorf("%v, %v: the number is rounded", got.Any, err)
	}
	if got, err := decode.ReadInto[map[string]int](httptest.NewRecorder(), newRequest("", jsonType, `{"a":1}`), maxBody); err != nil || got["a"] != 1 {
		t.Errorf("a map: %v, %v", got, err)
	}
}

func TestReadInto_IsStrict(t *testing.T) {
	const (
		unknown = "the body has a member that is not known here"
		value   = "the body has a member whose value is not accepted"
		kinds   = " has a value of the wrong type"
	)
	for body, want := range map[string]string{
		`{"` + secret + `":1}`: unknown, `{"inner":{"` + secret + `":1}}`: unknown, `{"many":[{},{"x":1}]}`: unknown, `{"by":{"x":{"y":1}}}`: unknown,
		`{"Name":"` + secret + `"}`: unknown, `{"name":"a","NAME":"` + secret + `"}`: unknown, `{"bare":"a"}`: unknown, `{"inner":{"Deep":"a"}}`: unknown,
		`{"-":"a"}`: unknown, `{"Never":"a"}`: unknown, `{"hidden":"a"}`: unknown, `{"common":{}}`: unknown, `{"Account":1}`: unknown,

		`{"name":1}`: "name" + kinds, `{"name":["` + secret + `"]}`: "name" + kinds, `{"name":{"` + secret + `":1}}`: "name" + kinds, `{"flag":"` + secret + `"}`: "flag" + kinds,
		`{"account_id":1.5}`: "account_id" + kinds, `{"account_id":1e3}`: "account_id" + kinds, `{"account_id":9223372036854775808}`: "account_id" + kinds, `{"account_id":"1"}`: "account_id" + kinds,
		`{"small":128}`: "small" + kinds, `{"roles":"a"}`: "roles" + kinds, `{"roles":[1]}`: "roles" + kinds, `{"roles":{}}`: "roles" + kinds, `{"inner":[]}`: "inner" + kinds, `{"inner":{"deep":5}}`: "inner.deep" + kinds,
		`{"inner":{"next":{"texts":["a",{"` + secret + `":1}]}}}`: "inner.next.texts" + kinds, `{"many":[{"deep":5}]}`: "many.deep" + kinds, `{"many":{}}`: "many" + kinds,
		`{"words":{"` + secret + `":5}}`: "words" + kinds, `{"Bare":5}`: "Bare" + kinds, `{"by":{"` + secret + `":{"deep":5}}}`: "by.deep" + kinds,

		`{"when":"` + secret + `"}`: value, `{"from":"` + secret + `"}`: value, `{"quoted":"` + secret + `"}`: value, `{"bytes":"` + secret + `!"}`: value,
		`{"roles":[null]}`: "the body has a null in a list", `{"inner":{"texts":["a",null]}}`: "the body has a null in a list",

		`{"name":"a","name":"a"}`: "name is there twice", `{"inner":{"deep":"a","deep":"b"}}`: "a field is there twice", `{"raw":{"a":1,"a":1}}`: "a field is there twice",
		`{"words":{"` + secret + `":"","` + secret + `":""}}`: "a field is there twice", `{"words":{"":""}}`: "a field has no name",
		`{"name":"` + strings.Repeat("a", 8193) + `"}`: "name is too long", `{"any":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + "}": "any is nested too deep",
		`{"name":"` + secret + "\xff" + `"}`: "name is not UTF-8, or has a NUL in it", `{"name":"\ud800"}`: "name is not UTF-8, or has a NUL in it", `{"name":"\u0000"}`: "name is not UTF-8, or has a NUL in it",
		`{}{}`: notJSON, `{} ` + secret: notJSON, `[]`: notJSON, `null`: notJSON, `"` + secret + `"`: notJSON, `{"name":"` + secret: notJSON, ` `: notJSON,
	} {
		got, err := readApplication(body)
		if refusal := refusalOf(t, err, "name", "any", "small", "flag", "inner", "inner.deep", "inner.next.texts", "many", "many.deep", "by.deep", "words", "Bare"); refusal.text != want || refusal.status != 400 {
			t.Errorf("%s: %v", body, refusal)
		}
		if !reflect.DeepEqual(got, application{}) {
			t.Errorf("%s: some of it is there: %+v", body, got)
		}
	}
}

func TestReadInto_RequiresKnownContentType(t *testing.T) {
	for name, x := range map[string]struct {
		msgContentType, requestBody string
		want                        refusal
	}{
		"plain text":   {"text/plain", `{"name":"` + secret + `"}`, refusal{415, "the body must be application/x-www-form-urlencoded, multipart/form-data or application/json"}},
		"no type":      {"", `{"name":"` + secret + `"}`, refusal{415, msgContentType}},
		"UTF-16":       {jsonType + "; charset=utf-16", `{}`, refusal{415, msgParameter}},
		"too large":    {jsonType, strings.Repeat(" ", 10<<20), refusal{413, "the body is too large"}},
		"nothing":      {"", "", refusal{}},
		"no body":      {jsonType, "", refusal{}},
		"a form's end": {formType, "", refusal{}},
	} {
		got, err := decode.ReadInto[application](httptest.NewRecorder(), newRequest("", x.msgContentType, x.requestBody), maxBody)
		if refusal := refusalOf(t, err); refusal != x.want || !reflect.DeepEqual(got, application{}) {
			t.Errorf("%s: %v, %+v", name, refusal, got)
		}
	}
}
