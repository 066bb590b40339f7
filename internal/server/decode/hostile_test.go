package decode_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	notForm        = "the fields are not written as those of a form"
	notMultipart   = "the body is not written as multipart/form-data, or ends too early"
	notJSON        = "the body is not one object in JSON"
	notSupported   = "the body must be application/x-www-form-urlencoded, multipart/form-data or application/json"
	msgParameter   = "the header Content-Type has a parameter that is not accepted; the charset is utf-8"
	msgContentType = "the header Content-Type must be there once, and say application/x-www-form-urlencoded, multipart/form-data or application/json"
)

// fieldsOf returns n fields.
func fieldsOf(n int, pattern, separator string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(pattern, i)
	}
	return strings.Join(all, separator)
}

// hostileRequests are requests that fail before a field is read. The secret stands for any text of
// a client.
var hostileRequests = map[string]struct {
	query, msgContentType, requestBody string
	status                             int
	isValidText                        string
}{
	"form: twice":                     {"", formType, "username=" + secret + "&username=" + secret, 400, "username is there twice"},
	"form: twice, in other escapes":   {"", formType, "username=" + secret + "&%75sername=" + secret, 400, "username is there twice"},
	"form: twice, unknown":            {"", formType, secret + "=1&" + secret + "=1", 400, "a field is there twice"},
	"form: twice, empty":              {"", formType, "username&username", 400, "username is there twice"},
	"form: no name":                   {"", formType, "=" + secret, 400, "a field has no name"},
	"form: a bad escape":              {"", formType, "username=%" + secret, 400, notForm},
	"form: a bad escape in a name":    {"", formType, secret + "%z=1", 400, notForm},
	"form: a semicolon":               {"", formType, "username=" + secret + ";password=" + secret, 400, notForm},
	"form: not UTF-8":                 {"", formType, "password=" + secret + "%ff", 400, "password is not UTF-8, or has a NUL in it"},
	"form: not UTF-8, raw":            {"", formType, "password=" + secret + "\xff", 400, "password is not UTF-8, or has a NUL in it"},
	"form: not UTF-8, a surrogate":    {"", formType, "password=" + secret + "%ed%a0%80", 400, "password is not UTF-8, or has a NUL in it"},
	"form: not UTF-8, overlong":       {"", formType, "password=" + secret + "%c0%80", 400, "password is not UTF-8, or has a NUL in it"},
	"form: not UTF-8, a name":         {"", formType, secret + "%ff=1", 400, "a field has a name that is not UTF-8, or has a NUL in it"},
	"form: NUL":                       {"", formType, "password=" + secret + "%00", 400, "password is not UTF-8, or has a NUL in it"},
	"form: NUL, unknown":              {"", formType, secret + "=%00", 400, "a field is not UTF-8, or has a NUL in it"},
	"form: NUL, a name":               {"", formType, secret + "%00=1", 400, "a field has a name that is not UTF-8, or has a NUL in it"},
	"form: a long value":              {"", formType, "password=" + strings.Repeat("a", 8193), 400, "password is too long"},
	"form: a long value, unknown":     {"", formType, secret + "=" + strings.Repeat("a", 8193), 400, "a field is too long"},
	"form: a long name":               {"", formType, secret + strings.Repeat("a", 128), 400, "a field has a name that is too long"},
	"form: many fields":               {"", formType, fieldsOf(65, "a%d", "&"), 400, "there are too many fields"},
	"form: too large":                 {"", formType, "username=" + strings.Repeat(secret, 10<<20/6), 413, "the body is too large"},
	"form: which is UTF-16":           {"", formType + "; charset=utf-16", "username=" + secret, 415, msgParameter},
	"form: which is Latin, beyond it": {"", formType + "; charset=iso-8859-1", "username=" + secret + "&password=%e9", 400, "the body must be UTF-8, and say so"},

	"query: twice":                 {"username=" + secret + "&username=" + secret, "", "", 400, "username is there twice"},
	"query: a semicolon":           {"a=" + secret + ";b", "", "", 400, notForm},
	"query: a bad escape":          {"username=" + secret + "%", "", "", 400, notForm},
	"query: not UTF-8":             {"username=" + secret + "%c3%28", "", "", 400, "username is not UTF-8, or has a NUL in it"},
	"query: NUL":                   {"username=" + secret + "%00", "", "", 400, "username is not UTF-8, or has a NUL in it"},
	"query: a long value":          {"username=" + strings.Repeat("a", 8193), "", "", 400, "username is too long"},
	"query: many fields":           {fieldsOf(65, "a%d", "&"), "", "", 400, "there are too many fields"},
	"query and form":               {"username=" + secret, formType, "username=" + secret, 400, "username is there twice"},
	"query and form: many":         {fieldsOf(33, "a%d", "&"), formType, fieldsOf(33, "b%d", "&"), 400, "there are too many fields"},
	"query and form, empty":        {"username", formType, "username=" + secret, 400, "username is there twice"},
	"query and parts":              {"username=" + secret, multipartType, multipartOf(partWith("username", secret)), 400, "username is there twice"},
	"query and JSON":               {"username=" + secret, jsonType, `{"username":"` + secret + `"}`, 400, "username is there twice"},
	"query and JSON, a null":       {"username=" + secret, jsonType, `{"username":null}`, 400, "username is there twice"},
	"query and JSON, both unknown": {secret, jsonType, `{"` + secret + `":1}`, 400, "a field is there twice"},

	"parts: twice":                        {"", multipartType, multipartOf(partWith("username", secret), partWith("username", secret)), 400, "username is there twice"},
	"parts: twice, unknown":               {"", multipartType, multipartOf(partWith(secret, "1"), partWith(secret, "1")), 400, "a field is there twice"},
	"parts: no name":                      {"", multipartType, multipartOf("--b0undary\r\nContent-Disposition: form-data\r\n\r\n" + secret + "\r\n"), 400, "a part does not say which field it is"},
	"parts: an empty name":                {"", multipartType, multipartOf(partWith("", secret)), 400, "a part does not say which field it is"},
	"parts: no header":                    {"", multipartType, multipartOf("--b0undary\r\n\r\n" + secret + "\r\n"), 400, notMultipart},
	"parts: other headers":                {"", multipartType, multipartOf("--b0undary\r\nX: y\r\n\r\n" + secret + "\r\n"), 400, "a part does not say which field it is"},
	"parts: a line that is no header":     {"", multipartType, multipartOf(partWith("username", "", secret)), 400, notMultipart},
	"parts: an attachment":                {"", multipartType, multipartOf("--b0undary\r\nContent-Disposition: attachment; name=" + secret + "\r\n\r\n\r\n"), 400, "a part does not say which field it is"},
	"parts: two dispositions":             {"", multipartType, multipartOf(partWith("username", secret, "Content-Disposition: form-data; name=x")), 400, "a part does not say which field it is"},
	"parts: two names":                    {"", multipartType, multipartOf(partWith(`username"; name="`+secret, "")), 400, "a part does not say which field it is"},
	"parts: another name with a star":     {"", multipartType, multipartOf(partWith(`username"; name*="utf-8''password`, secret)), 400, "a part does not say which field it is"},
	"parts: a file":                       {"", multipartType, multipartOf(partWith(`username"; filename="`+secret, secret)), 400, "username is a file, and files are not accepted"},
	"parts: a file without a name":        {"", multipartType, multipartOf(partWith(`username"; filename="`, secret)), 400, "username is a file, and files are not accepted"},
	"parts: a file with a star":           {"", multipartType, multipartOf(partWith(`username"; filename*="utf-8''a`, secret)), 400, "a part does not say which field it is"},
	"parts: a file of an unknown name":    {"", multipartType, multipartOf(partWith(secret+`"; filename="a`, "")), 400, "a field is a file, and files are not accepted"},
	"parts: parts in a part":              {"", multipartType, multipartOf(partWith("username", secret, "Content-Type: multipart/mixed; boundary=c")), 400, "username must be text, as it is"},
	"parts: JSON in a part":               {"", multipartType, multipartOf(partWith(secret, secret, "Content-Type: application/json")), 400, "a field must be text, as it is"},
	"parts: base64":                       {"", multipartType, multipartOf(partWith("username", secret, "Content-Transfer-Encoding: base64")), 400, "username must be text, as it is"},
	"parts: quoted-printable":             {"", multipartType, multipartOf(partWith("username", secret, "Content-Transfer-Encoding: quoted-printable")), 400, "username must be text, as it is"},
	"parts: which is UTF-16":              {"", multipartType, multipartOf(partWith("username", secret, "Content-Type: text/plain; charset=utf-16")), 400, "username must be in UTF-8, and say so"},
	"parts: which is Latin, beyond it":    {"", multipartType, multipartOf(partWith("username", secret+"ü", "Content-Type: text/plain; charset=ISO-8859-1")), 400, "username must be in UTF-8, and say so"},
	"parts: not UTF-8":                    {"", multipartType, multipartOf(partWith("username", secret+"\xff")), 400, "username is not UTF-8, or has a NUL in it"},
	"parts: NUL":                          {"", multipartType, multipartOf(partWith("username", secret+"\x00")), 400, "username is not UTF-8, or has a NUL in it"},
	"parts: not UTF-8, in a header":       {"", multipartType, multipartOf(partWith("username", secret, "X: \xff")), 400, notMultipart},
	"parts: a long value":                 {"", multipartType, multipartOf(partWith("username", strings.Repeat("a", 8193))), 400, "username is too long"},
	"parts: a long name":                  {"", multipartType, multipartOf(partWith(secret+strings.Repeat("a", 128), "")), 400, "a field has a name that is too long"},
	"parts: many":                         {"", multipartType, multipartOf(fieldsOf(65, partWith("a%d", ""), "")), 400, "there are too many fields"},
	"parts: very many":                    {"", multipartType, strings.Repeat("\r\n--b0undary", 5000), 400, notMultipart},
	"parts: too large":                    {"", multipartType, multipartOf(partWith("username", strings.Repeat(secret, 10<<20/6))), 413, "the body is too large"},
	"parts: ends in a value":              {"", multipartType, partWith("username", "anna") + partWith("password", secret), 400, notMultipart},
	"parts: ends in a header":             {"", multipartType, partWith("username", secret) + "--b0undary\r\nContent-Disp", 400, notMultipart},
	"parts: ends in the last line":        {"", multipartType, partWith("username", secret) + "--b0undary-", 400, notMultipart},
	"parts: another boundary":             {"", "multipart/form-data; boundary=other", multipartOf(partWith("username", secret)), 400, notMultipart},
	"parts: a longer boundary":            {"", "multipart/form-data; boundary=b0undar", multipartOf(partWith("username", secret)), 400, notMultipart},
	"parts: something before":             {"", multipartType, secret + "\r\n" + multipartOf(partWith("username", secret)), 400, notMultipart},
	"parts: something behind":             {"", multipartType, multipartOf(partWith("username", "anna")) + secret, 400, notMultipart},
	"parts: more parts behind":            {"", multipartType, multipartOf() + multipartOf(partWith("username", secret)), 400, notMultipart},
	"parts: lines that end otherwise":     {"", multipartType, strings.ReplaceAll(multipartOf(partWith("username", secret)), "\r", ""), 400, notMultipart},
	"parts: a header that ends otherwise": {"", multipartType, multipartOf("--b0undary\r\nContent-Disposition: form-data; name=username\n\r\n" + secret + "\r\n\r\n\r\n"), 400, notMultipart},
	"parts: a space in a delimiter":       {"", multipartType, strings.Replace(multipartOf(partWith("username", secret)), "y\r", "y \r", 1), 400, notMultipart},
	"parts: no boundary":                  {"", "multipart/form-data", secret, 415, "the header Content-Type does not say the boundary"},
	"parts: an empty boundary":            {"", `multipart/form-data; boundary=""`, secret, 415, msgParameter},
	"parts: a long boundary":              {"", "multipart/form-data; boundary=" + strings.Repeat("b", 71), secret, 415, msgParameter},
	"parts: a boundary, no UTF-8":         {"", "multipart/form-data; boundary=\"\xff\"", "--\xff--", 415, msgParameter},
	"parts: a boundary with a NUL":        {"", "multipart/form-data; boundary=\"a\x00\"", "--a\x00--", 415, msgParameter},
	"parts: two boundaries":               {"", multipartType + "; boundary=c", secret, 415, "the header Content-Type cannot be read"},
	"parts: a boundary with a star":       {"", multipartType + "; boundary*=utf-8''c", secret, 415, msgContentType},
	"parts: of mail":                      {"", "multipart/mixed", multipartOf(partWith("username", secret)), 415, notSupported},
	"parts: but it is a form":             {"", multipartType, "username=" + secret, 400, notMultipart},

	"JSON: twice":                  {"", jsonType, `{"username":"` + secret + `","username":"` + secret + `"}`, 400, "username is there twice"},
	"JSON: twice, in an escape":    {"", jsonType, `{"username":"` + secret + `","\u0075sername":"` + secret + `"}`, 400, "username is there twice"},
	"JSON: twice, a null":          {"", jsonType, `{"username":null,"username":"` + secret + `"}`, 400, "username is there twice"},
	"JSON: twice, unknown":         {"", jsonType, `{"` + secret + `":1,"` + secret + `":1}`, 400, "a field is there twice"},
	"JSON: twice, within":          {"", jsonType, `{"x":[{"y":{"` + secret + `":1,"` + secret + `":2}}]}`, 400, "a field is there twice"},
	"JSON: twice, a name within":   {"", jsonType, `{"x":{"username":1,"username":2}}`, 400, "a field is there twice"},
	"JSON: no name":                {"", jsonType, `{"":"` + secret + `"}`, 400, "a field has no name"},
	"JSON: not UTF-8":              {"", jsonType, `{"username":"` + secret + "\xff" + `"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: UTF-16":                 {"", jsonType, "\xff\xfe{\x00}\x00", 400, notJSON},
	"JSON: a mark in front":        {"", jsonType, "\ufeff{}", 400, notJSON},
	"JSON: NUL":                    {"", jsonType, `{"username":"` + secret + `\u0000"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: NUL, a name":            {"", jsonType, `{"` + secret + `\u0000":""}`, 400, "a field has a name that is not UTF-8, or has a NUL in it"},
	"JSON: NUL, raw":               {"", jsonType, `{"username":"` + secret + "\x00" + `"}`, 400, notJSON},
	"JSON: the first of a pair":    {"", jsonType, `{"username":"` + secret + `\ud83d"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: two first of a pair":    {"", jsonType, `{"username":"` + secret + `\ud83d\ud83d"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: the second of a pair":   {"", jsonType, `{"username":"` + secret + `\ude00"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: a pair in wrong order":  {"", jsonType, `{"username":"` + secret + `\ude00\ud83d"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: a long value":           {"", jsonType, `{"password":"` + strings.Repeat("a", 8193) + `"}`, 400, "password is too long"},
	"JSON: a long number":          {"", jsonType, `{"account_id":` + strings.Repeat("1", 8193) + `}`, 400, "account_id is too long"},
	"JSON: a long value, within":   {"", jsonType, `{"roles":["` + strings.Repeat("a", 8193) + `"]}`, 400, "roles is too long"},
	"JSON: a long value, unknown":  {"", jsonType, `{"` + secret + `":{"x":"` + strings.Repeat("a", 8193) + `"}}`, 400, "a field is too long"},
	"JSON: a long name":            {"", jsonType, `{"` + secret + strings.Repeat("a", 128) + `":1}`, 400, "a field has a name that is too long"},
	"JSON: a long name, within":    {"", jsonType, `{"x":{"` + secret + strings.Repeat("a", 128) + `":1}}`, 400, "a field has a name that is too long"},
	"JSON: many fields":            {"", jsonType, "{" + fieldsOf(65, `"a%d":1`, ",") + "}", 400, "there are too many fields"},
	"JSON: many fields, within":    {"", jsonType, `{"x":[{` + fieldsOf(65, `"a%d":1`, ",") + "}]}", 400, "there are too many fields"},
	"JSON: too large":              {"", jsonType, `{"username":"` + strings.Repeat(secret, 10<<20/6) + `"}`, 413, "the body is too large"},
	"JSON: deep":                   {"", jsonType, `{"roles":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + `}`, 400, "roles is nested too deep"},
	"JSON: deep, of objects":       {"", jsonType, strings.Repeat(`{"x":`, 9) + "1" + strings.Repeat("}", 9), 400, "a field is nested too deep"},
	"JSON: very deep":              {"", jsonType, `{"roles":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, 400, notJSON},
	"JSON: an array":               {"", jsonType, `["` + secret + `"]`, 400, notJSON},
	"JSON: a text":                 {"", jsonType, `"` + secret + `"`, 400, notJSON},
	"JSON: null":                   {"", jsonType, `null`, 400, notJSON},
	"JSON: two":                    {"", jsonType, `{}{"username":"` + secret + `"}`, 400, notJSON},
	"JSON: something behind":       {"", jsonType, `{"username":"x"}` + secret, 400, notJSON},
	"JSON: ends in a value":        {"", jsonType, `{"username":"` + secret, 400, notJSON},
	"JSON: ends before the end":    {"", jsonType, `{"username":"` + secret + `"`, 400, notJSON},
	"JSON: nothing but spaces":     {"", jsonType, "  ", 400, notJSON},
	"JSON: a comma too many":       {"", jsonType, `{"username":"` + secret + `",}`, 400, notJSON},
	"JSON: no quotes":              {"", jsonType, `{` + secret + `:1}`, 400, notJSON},
	"JSON: a comment":              {"", jsonType, `{/*` + secret + `*/}`, 400, notJSON},
	"JSON: a number that is none":  {"", jsonType, `{"account_id":01}`, 400, notJSON},
	"JSON: NaN":                    {"", jsonType, `{"account_id":NaN}`, 400, notJSON},
	"JSON: but it is a form":       {"", jsonType, "username=" + secret, 400, notJSON},
	"JSON: which is UTF-16":        {"", jsonType + "; charset=utf-16", `{}`, 415, msgParameter},
	"JSON: with a boundary":        {"", jsonType + "; boundary=" + secret, `{}`, 415, msgParameter},
	"JSON: with lines":             {"", "application/json-seq", "{}", 415, notSupported},
	"another type":                 {"", "text/plain", "username=" + secret, 415, notSupported},
	"another type, an unknown one": {"", "text/" + secret, secret, 415, notSupported},
	"no type":                      {"", "", "username=" + secret, 415, msgContentType},
	"two types in one":             {"", formType + ", " + jsonType, secret, 415, "the header Content-Type cannot be read"},
	"a type that cannot be read":   {"", secret + " /;;", secret, 415, "the header Content-Type cannot be read"},
	"a type with a parameter":      {"", formType + "; " + secret + "=" + secret, secret, 415, msgParameter},
	"a type with a star":           {"", formType + "; charset=utf-16; charset*=utf-8''utf-8", secret, 415, msgContentType},
}

func TestRead_HostileRequestIsRefusedAndNotEchoed(t *testing.T) {
	for name, x := range hostileRequests {
		_, err := readAll(newRequest(x.query, x.msgContentType, x.requestBody))
		if got := refusalOf(t, err); got != (refusal{x.status, x.isValidText}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// ParseJSON that is declared as a form is a form with one field, whose name no caller asks for.
func TestRead_JSONDeclaredAsFormHasNoKnownFields(t *testing.T) {
	f, err := readAll(newRequest("", formType, `{"username":"`+secret+`"}`))
	if err == nil {
		_, err = loginOf(f)
	}
	if got := refusalOf(t, err); got != (refusal{400, "username is required"}) {
		t.Errorf("%v", got)
	}
}

func TestRead_CompressedOrTwoContentTypesIsRefused(t *testing.T) {
	const compressed = "the body must not be compressed"
	for header, want := range map[string]refusal{
		"Content-Encoding: identity":            {},
		"Content-Encoding: Identity":            {},
		"Content-Encoding: gzip":                {415, compressed},
		"Content-Encoding: identity, gzip":      {415, compressed},
		"Content-Encoding: " + secret:           {415, compressed},
		"Content-Type: " + jsonType:             {http.StatusUnsupportedMediaType, msgContentType},
		"Content-Type: " + formType:             {http.StatusUnsupportedMediaType, msgContentType},
		"Content-Type: text/plain; x=" + secret: {http.StatusUnsupportedMediaType, msgContentType},
	} {
		_, err := readAll(newRequest("", formType, "username="+secret, header))
		if got := refusalOf(t, err); got != want {
			t.Errorf("%s: %v", header, got)
		}
	}
	if _, err := readAll(newRequest("username=anna", "", "", "Content-Encoding: gzip")); err != nil {
		t.Errorf("nothing, compressed: %v", err)
	}
}

func TestRead_LimitsAreInclusive(t *testing.T) {
	long, name := strings.Repeat("ü", 4096), strings.Repeat("n", 128)
	for what, x := range map[string][3]string{
		"values and names of a form":   {"", formType, "username=" + long + "&" + name + "=1"},
		"values and names of parts":    {"", multipartType, multipartOf(partWith("username", long), partWith(name, "1"))},
		"values and names of JSON":     {"", jsonType, `{"username":"` + long + `","` + name + `":1}`},
		"as many fields of a form":     {"", formType, fieldsOf(64, "a%d", "&")},
		"as many fields of parts":      {"", multipartType, multipartOf(fieldsOf(64, partWith("a%d", ""), ""))},
		"as many fields of JSON":       {"", jsonType, "{" + fieldsOf(64, `"a%d":1`, ",") + "}"},
		"as many fields in two":        {fieldsOf(32, "a%d", "&"), formType, fieldsOf(32, "b%d", "&")},
		"JSON that is as deep":         {"", jsonType, strings.Repeat(`{"x":`, 8) + "1" + strings.Repeat("}", 8)},
		"JSON with a surrogate pair":   {"", jsonType, `{"username":"\ud83d\ude00\\u0000\\ud83d"}`},
		"a body that is as large":      {"", jsonType, "{" + strings.Repeat(" ", maxBody-2) + "}"},
		"a body of the least":          {"", jsonType, "{}"},
		"a boundary that is as long":   {"", "multipart/form-data; boundary=" + name[:70], "--" + name[:70] + "--"},
		"a delimiter within a line":    {"", multipartType, multipartOf(partWith("username", "a--b0undary--"))},
		"a part that ends with a line": {"", multipartType, multipartOf(partWith("username", "a\r\n"))},
	} {
		if _, err := readAll(newRequest(x[0], x[1], x[2])); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
