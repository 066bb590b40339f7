package decode_test

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/server/decode"
)

const (
	noText = " is not UTF-8, or has a NUL in it"
	noName = "a field has a name that" + noText
)

// encoding/json would replace most of these by U+FFFD. The error names the member that holds them,
// if it is known.
func TestText_InvalidJSONStringIsRefusedByFieldName(t *testing.T) {
	for junk, is := range map[string]string{
		"\xff": "no UTF-8", "\xed\xa0\x80": "a surrogate as it is", "\xc0\x80": "a NUL in two bytes", "ü\xc3": "half of a letter", `\u0000`: "NUL",
		`\ud800`: "the first of a pair", `\udfff`: "the second of a pair", `\uD83D\uD83D`: "two first of a pair", `\ud83d\\ude00`: "a pair that is none", "\ufffd\xff": "what it would become",
	} {
		for name, x := range map[string]struct{ requestBody, want string }{
			"a known field":                  {`{"roles":"` + secret + junk + `"}`, "roles" + noText},
			"a known field, before others":   {`{"roles":"` + junk + secret + `","` + secret + `":1}`, "roles" + noText},
			"a known field, escaped":         {`{ "\u0072oles" : "` + junk + `" }`, "roles" + noText},
			"a known field, the last":        {`{"x":"` + secret + `","roles":"` + junk + `"}`, "roles" + noText},
			"an unknown field":               {`{"` + secret + `":"` + junk + `"}`, "a field" + noText},
			"an element":                     {`{"roles":["` + secret + `", "` + junk + `"]}`, "roles" + noText},
			"an element of an unknown field": {`{"roles":[],"` + secret + `":["` + junk + `"]}`, "a field" + noText},
			"within":                         {`{"roles":{"` + secret + `":[1,{"name":"` + junk + `"}]}}`, "roles" + noText},
			"within an unknown field":        {`{"` + secret + `":{"roles":"` + junk + `"}}`, "a field" + noText},
			"a name":                         {`{"` + secret + junk + `":1}`, noName},
			"the name of a field and more":   {`{"roles` + junk + `":1}`, noName},
			"a name before a bad value":      {`{"roles":1,"` + junk + `":"` + junk + `"}`, noName},
			"a name within":                  {`{"roles":[{"` + junk + secret + `":1}]}`, noName},
			"after what is twice":            {`{"roles":1,"roles":1,"x":"` + junk + `"}`, "roles is there twice"},
			"no object":                      {`["` + secret + junk + `"]`, notJSON},
			"a text":                         {`"` + junk + `"`, notJSON},
			"in no string":                   {`{"roles":` + junk + `}`, notJSON},
			"behind all":                     {`{"roles":"` + junk + `"}` + junk, notJSON},
		} {
			f, err := readAll(newRequest("", jsonType, x.requestBody))
			if got := refusalOf(t, err); got != (refusal{400, x.want}) || !reflect.DeepEqual(f, decode.Fields{}) {
				t.Errorf("%s, %s: %v, %v", name, is, got, f)
			}
			into, err := readApplication(x.requestBody)
			if got := refusalOf(t, err); got != (refusal{400, x.want}) || !reflect.DeepEqual(into, application{}) {
				t.Errorf("%s into a body, %s: %v, %+v", name, is, got, into)
			}
		}
	}
}

// Text that resembles the cases above, and is valid.
func TestText_ValidJSONStringIsReadUnchanged(t *testing.T) {
	for written, want := range map[string]string{
		"\ufffd": "\ufffd", `\ufffd`: "\ufffd", `\\u0000`: `\u0000`, `\\\\ud800`: `\\ud800`, `\ud83d\ude00`: "😀", `\\\ud83d\uDE00\"`: `\😀"`, `\u0001`: "\x01", "\u2028\x7f": "\u2028\x7f",
	} {
		f, err := readAll(newRequest("", jsonType, `{ "x" : [ "`+written+`" ] , "`+written+`" : 1, "username":"`+written+`"}`))
		if got, _, err2 := f.Text("username"); got != want || err != nil || err2 != nil {
			t.Errorf("%s: %q, %v, %v", written, got, err, err2)
		}
		into, err := readApplication(`{"name":"` + written + `","words":{"` + written + `":"` + written + `"},"raw":"` + written + `"}`)
		if into.Name != want || into.Words[want] != want || string(into.Raw) != `"`+written+`"` || err != nil {
			t.Errorf("%s, in a field: %+v, %v", written, into, err)
		}
	}
}

func TestText_InvalidPartIsRefusedByFieldName(t *testing.T) {
	for junk, is := range map[string]string{"\xff": "no UTF-8", "\x00": "NUL", "\xed\xa0\x80": "a surrogate", "ü\xc3": "half of a letter"} {
		for name, x := range map[string]struct{ requestBody, want string }{
			"a known field":                {multipartOf(partWith("roles", secret+junk)), "roles" + noText},
			"a known field, the last":      {multipartOf(partWith("username", secret), partWith("roles", junk)), "roles" + noText},
			"an unknown field":             {multipartOf(partWith(secret, junk)), "a field" + noText},
			"a name":                       {multipartOf(partWith(secret+junk, "")), noName},
			"the name of a field and more": {multipartOf(partWith("roles"+junk, "")), noName},
			"a name, and its value":        {multipartOf(partWith("roles"+junk, junk)), noName},
			"the name of a file":           {multipartOf(partWith(`roles"; filename="`+junk, "")), "roles is a file, and files are not accepted"},
			"another parameter":            {multipartOf(partWith(`roles"; x="`+junk, secret)), notMultipart},
			"another header":               {multipartOf(partWith("roles", secret, "X: "+junk)), notMultipart},
			"the name of a header":         {multipartOf(partWith("roles", secret, "X"+junk+": y")), notMultipart},
			"before the parts":             {junk + multipartOf(partWith("roles", secret)), notMultipart},
			"in a delimiter":               {"--b0undary" + junk + multipartOf(partWith("roles", secret))[10:], notMultipart},
			"behind the last delimiter":    {multipartOf(partWith("roles", secret)) + junk, notMultipart},
			"in the last delimiter":        {partWith("roles", secret) + "--b0undary" + junk + "--", notMultipart},
		} {
			head, _, _ := strings.Cut(x.requestBody, "\r\n\r\n")
			if junk == "\x00" && strings.Contains(head, junk) { // no header may hold it
				x.want = notMultipart
			}
			f, err := readAll(newRequest("", multipartType, x.requestBody))
			if got := refusalOf(t, err); got != (refusal{400, x.want}) || !reflect.DeepEqual(f, decode.Fields{}) {
				t.Errorf("%s, %s: %v, %v", name, is, got, f)
			}
			into, err := decode.ReadInto[testBody](httptest.NewRecorder(), newRequest("", multipartType, x.requestBody), maxBody)
			if err == nil || !reflect.DeepEqual(into, testBody{}) {
				t.Errorf("%s into a body, %s: %+v, %v", name, is, into, err)
			}
		}
	}
}
