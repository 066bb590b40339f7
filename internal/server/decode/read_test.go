package decode_test

import (
	"fmt"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/server/decode"
)

var annaLogin = login{"anna", "p&= ü", 7, true, []string{"a~x", "b"}}

func TestRead_SameResultFromEveryEncoding(t *testing.T) {
	const (
		urlencoded = "username=anna&password=p%26%3D+%C3%BC&account_id=7&remember-me=TRUE&roles=a~x,b"
		object     = `{"username":"anna","password":"p&= \u00fc","account_id":7,"remember-me":true,"roles":["a~x","b"]}`
	)
	multipart := multipartOf(partWith("username", "anna"), partWith("password", "p&= ü", "Content-Type: text/plain; charset=UTF-8"),
		partWith("account_id", "7", "Content-Type: text/plain; charset=ISO-8859-1", "Content-Transfer-Encoding: 8bit"), partWith("remember-me", "1"), partWith("roles", "a~x,b"))
	for name, x := range map[string][3]string{
		"a form":                           {"", formType, urlencoded},
		"a form that says its charset":     {"", formType + "; charset=UTF-8", urlencoded},
		"a form in capitals":               {"", "Application/X-WWW-Form-URLencoded;Charset=utf-8", urlencoded},
		"a form with unknown fields":       {"", formType, urlencoded + "&&submit&x=1"},
		"a query":                          {urlencoded, "", ""},
		"a query, and an empty body":       {urlencoded, jsonType, ""},
		"a query and a form":               {"remember-me=1", formType, strings.Replace(urlencoded, "&remember-me=TRUE", "", 1)},
		"a query and parts":                {"x=1", multipartType, multipart},
		"a query and JSON":                 {"remember-me=true", jsonType, strings.Replace(object, `"remember-me":true,`, "", 1)},
		"parts":                            {"", multipartType, multipart},
		"parts, a quoted boundary":         {"", `multipart/form-data; charset=utf-8; boundary="b0undary"`, multipart},
		"parts, a line end before":         {"", multipartType, "\r\n" + multipart},
		"parts, no line end behind":        {"", multipartType, strings.TrimSuffix(multipart, "\r\n")},
		"parts, capitals in a header":      {"", multipartType, strings.Replace(multipart, "Content-Disposition: form-data", "content-disposition:FORM-DATA", 1)},
		"JSON":                             {"", jsonType, object},
		"JSON that says its charset":       {"", jsonType + "; charset=\"UTF-8\"", object},
		"JSON with spaces":                 {"", jsonType, " \r\n\t" + strings.ReplaceAll(object, ",", " , ") + "\n"},
		"JSON with text for all":           {"", jsonType, strings.NewReplacer("7", `"7"`, "true", `"True"`).Replace(object)},
		"JSON with a number for a flag":    {"", jsonType, strings.Replace(object, "true", "1", 1)},
		"JSON with unknown fields":         {"", jsonType, strings.Replace(object, "{", `{"x":{"y":[1e400,null,{"z":{}}]},"v":-1.5,`, 1)},
		"JSON with an escape in a name":    {"", jsonType, strings.Replace(object, "user", `\u0075ser`, 1)},
		"JSON with a name in two capitals": {"", jsonType, strings.Replace(object, "{", `{"Username":"eve",`, 1)},
	} {
		f, err := readAll(newRequest(x[0], x[1], x[2]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := loginOf(f); err != nil || !reflect.DeepEqual(got, annaLogin) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestRead_MissingFieldIsAbsent(t *testing.T) {
	for name, x := range map[string][3]string{
		"nothing":                    {},
		"an empty body of a type":    {"", formType, ""},
		"an empty body of any type":  {"", "image/png", ""},
		"empty texts":                {"", formType, "username=&password=&account_id=&remember-me="},
		"empty texts in the query":   {"username=&account_id&remember-me=", "", ""},
		"empty parts":                {"", multipartType, multipartOf(partWith("username", ""), partWith("account_id", ""), partWith("remember-me", ""))},
		"empty texts in JSON":        {"", jsonType, `{"username":"","password":"","account_id":"","remember-me":""}`},
		"nulls":                      {"", jsonType, `{"username":null,"password":null,"account_id":null,"remember-me":null,"roles":null}`},
		"an empty object":            {"", jsonType, `{}`},
		"parts without a part":       {"", multipartType, multipartOf()},
		"a form with nothing but &s": {"&&", formType, "&&&"},
	} {
		f, err := readAll(newRequest(x[0], x[1], x[2]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, text, err1 := f.Text("username")
		_, number, err2 := f.Integer("account_id", 1, 2)
		_, flag, err3 := f.Flag("remember-me")
		_, list, err4 := f.List("roles")
		if text || number || flag || list || err1 != nil || err2 != nil || err3 != nil || err4 != nil {
			t.Errorf("%s: %t %t %t %t, %v %v %v %v", name, text, number, flag, list, err1, err2, err3, err4)
		}
		_, err = f.Required("username")
		if got := refusalOf(t, err); got != (refusal{400, "username is required"}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRead_DisallowedPlaceIsIgnored(t *testing.T) {
	for name, x := range map[string]struct {
		from                        decode.Places
		query                       string
		msgContentType, requestBody string
		want                        string
	}{
		"the query of two":  {decode.Query, "username=anna", formType, "username=eve", "anna"},
		"the body of two":   {decode.Body, "username=eve", formType, "username=anna", "anna"},
		"a malformed query": {decode.Body, "%zz;", formType, "username=anna", "anna"},
		"a malformed body":  {decode.Query, "username=anna", "image/png", "x", "anna"},
		"no place":          {0, "username=anna", formType, "username=anna", ""},
	} {
		f, err := decode.Read(httptest.NewRecorder(), newRequest(x.query, x.msgContentType, x.requestBody), maxBody, x.from)
		if got, _, err2 := f.Text("username"); got != x.want || err != nil || err2 != nil {
			t.Errorf("%s: %q, %v, %v", name, got, err, err2)
		}
	}
}

func TestRead_TypedFieldsAreStrict(t *testing.T) {
	const number, flag, list = "account_id must be a whole number from 1 to 9007199254740992", "remember-me must be true or false", "roles must be a list of texts"
	const good = `"username":"anna","password":"x"`
	// Values are ParseJSON. Those in quotes are tried in the other encodings too.
	for value, want := range map[string]string{
		`"account_id":"9007199254740992"`: "", `"account_id":"9007199254740993"`: number, `"account_id":9007199254740993`: number,
		`"account_id":"1"`: "", `"account_id":"0"`: number, `"account_id":""`: "", `"account_id":"-1"`: number, `"account_id":-1`: number,
		`"account_id":"9223372036854775808"`: number, `"account_id":9223372036854775808`: number, `"account_id":"99999999999999999999999"`: number,
		`"account_id":"1.0"`: number, `"account_id":1.0`: number, `"account_id":1.5`: number, `"account_id":1e3`: number, `"account_id":"1e3"`: number,
		`"account_id":"+1"`: number, `"account_id":" 1"`: number, `"account_id":"1 "`: number, `"account_id":"01"`: number, `"account_id":"-0"`: number, `"account_id":-0`: number,
		`"account_id":"0x1"`: number, `"account_id":"1_0"`: number, `"account_id":"١"`: number, `"account_id":true`: number, `"account_id":[1]`: number, `"account_id":{}`: number,

		`"remember-me":"tRuE"`: "", `"remember-me":"FALSE"`: "", `"remember-me":"1"`: "", `"remember-me":"0"`: "", `"remember-me":0`: "", `"remember-me":false`: "",
		`"remember-me":"2"`: flag, `"remember-me":2`: flag, `"remember-me":1.0`: flag, `"remember-me":""`: "", `"remember-me":"aye"`: flag, `"remember-me":"falſe"`: flag,
		`"remember-me":" true"`: flag, `"remember-me":[]`: flag, `"remember-me":{}`: flag, `"remember-me":"-1"`: flag,

		`"roles":["a","b"]`: "", `"roles":[]`: "", `"roles":["a,b"]`: "", `"roles":[""]`: list + ", none of them empty", `"roles":["a",1]`: list + ", none of them empty",
		`"roles":[null]`: list + ", none of them empty", `"roles":[["a"]]`: list + ", none of them empty", `"roles":{}`: list, `"roles":1`: list, `"roles":true`: list,

		`"x":{}`: "", `"x":[[]]`: "",
	} {
		f, err := readAll(newRequest("", jsonType, "{"+good+","+value+"}"))
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		_, err = loginOf(f)
		if got := refusalOf(t, err); got.text != want {
			t.Errorf("%s: %q", value, got.text)
		}
		var name, text string
		if _, err := fmt.Sscanf(strings.Replace(value, ":", " ", 1), "%q %q", &name, &text); err != nil {
			continue
		}
		f, err = readAll(newRequest("", multipartType, multipartOf(partWith("username", "anna"), partWith("password", "x"), partWith(name, text))))
		if err != nil {
			t.Errorf("%s, in a part: %v", value, err)
		}
		_, err = loginOf(f)
		if got := refusalOf(t, err); got.text != want {
			t.Errorf("%s, in a part: %q", value, got.text)
		}
	}
	for value, want := range map[string]string{`5`: "username must be text", `true`: "username must be text", `[]`: "username must be text", `{}`: "username must be text", `""`: "username is required"} {
		f, err := readAll(newRequest("", jsonType, `{"username":`+value+`}`))
		if err == nil {
			_, err = f.Required("username")
		}
		if got := refusalOf(t, err); got != (refusal{400, want}) {
			t.Errorf("%s: %v", value, got)
		}
	}
	f, err := readAll(newRequest("roles=", formType, "account_id=-9223372036854775808&username=a,b"))
	roles, there, err1 := f.List("roles")
	n, _, err2 := f.Integer("account_id", -1<<63, -1)
	_, _, err3 := f.List("username")
	if err != nil || len(roles) != 0 || !there || err1 != nil || n != -1<<63 || err2 != nil || err3 != nil {
		t.Errorf("%v; %q %t %v; %d %v; %v", err, roles, there, err1, n, err2, err3)
	}
	for _, text := range []string{",", "a,", ",a", "a,,b"} {
		f, _ := readAll(newRequest("", formType, "roles="+text))
		_, _, err := f.List("roles")
		if got := refusalOf(t, err); got.text != list+", none of them empty" {
			t.Errorf("%q: %v", text, got)
		}
	}
	f, _ = readAll(newRequest("", jsonType, `{"roles":"a,b"}`))
	_, _, err = f.List("roles")
	if got := refusalOf(t, err); got.text != list {
		t.Errorf("a text in JSON: %v", got)
	}
}
