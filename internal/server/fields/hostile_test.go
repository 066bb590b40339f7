package fields_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	notForm      = "the fields are not written as those of a form"
	notMultipart = "the body is not written as multipart/form-data, or ends too early"
	notJSON      = "the body is not one object in JSON"
	notSupported = "the body must be application/x-www-form-urlencoded, multipart/form-data or application/json"
	parameter    = "the header Content-Type has a parameter that is not accepted; the charset is utf-8"
	kind         = "the header Content-Type must be there once, and say application/x-www-form-urlencoded, multipart/form-data or application/json"
)

// fieldsOf returns n fields.
func fieldsOf(n int, pattern, separator string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(pattern, i)
	}
	return strings.Join(all, separator)
}

// refused are requests that fail before a field is read. The secret stands for any text of a
// client.
var refused = map[string]struct {
	query, kind, body string
	status            int
	text              string
}{
	"form: twice":                     {"", form, "username=" + secret + "&username=" + secret, 400, "username is there twice"},
	"form: twice, in other escapes":   {"", form, "username=" + secret + "&%75sername=" + secret, 400, "username is there twice"},
	"form: twice, unknown":            {"", form, secret + "=1&" + secret + "=1", 400, "a field is there twice"},
	"form: twice, empty":              {"", form, "username&username", 400, "username is there twice"},
	"form: no name":                   {"", form, "=" + secret, 400, "a field has no name"},
	"form: a bad escape":              {"", form, "username=%" + secret, 400, notForm},
	"form: a bad escape in a name":    {"", form, secret + "%z=1", 400, notForm},
	"form: a semicolon":               {"", form, "username=" + secret + ";password=" + secret, 400, notForm},
	"form: not UTF-8":                 {"", form, "password=" + secret + "%ff", 400, "password is not UTF-8, or has a NUL in it"},
	"form: not UTF-8, raw":            {"", form, "password=" + secret + "\xff", 400, "password is not UTF-8, or has a NUL in it"},
	"form: not UTF-8, a surrogate":    {"", form, "password=" + secret + "%ed%a0%80", 400, "password is not UTF-8, or has a NUL in it"},
	"form: not UTF-8, overlong":       {"", form, "password=" + secret + "%c0%80", 400, "password is not UTF-8, or has a NUL in it"},
	"form: not UTF-8, a name":         {"", form, secret + "%ff=1", 400, "a field has a name that is not UTF-8, or has a NUL in it"},
	"form: NUL":                       {"", form, "password=" + secret + "%00", 400, "password is not UTF-8, or has a NUL in it"},
	"form: NUL, unknown":              {"", form, secret + "=%00", 400, "a field is not UTF-8, or has a NUL in it"},
	"form: NUL, a name":               {"", form, secret + "%00=1", 400, "a field has a name that is not UTF-8, or has a NUL in it"},
	"form: a long value":              {"", form, "password=" + strings.Repeat("a", 8193), 400, "password is too long"},
	"form: a long value, unknown":     {"", form, secret + "=" + strings.Repeat("a", 8193), 400, "a field is too long"},
	"form: a long name":               {"", form, secret + strings.Repeat("a", 128), 400, "a field has a name that is too long"},
	"form: many fields":               {"", form, fieldsOf(65, "a%d", "&"), 400, "there are too many fields"},
	"form: too large":                 {"", form, "username=" + strings.Repeat(secret, 10<<20/6), 413, "the body is too large"},
	"form: which is UTF-16":           {"", form + "; charset=utf-16", "username=" + secret, 415, parameter},
	"form: which is Latin, beyond it": {"", form + "; charset=iso-8859-1", "username=" + secret + "&password=%e9", 400, "the body must be UTF-8, and say so"},

	"query: twice":                       {"username=" + secret + "&username=" + secret, "", "", 400, "username is there twice"},
	"query: a semicolon":                 {"a=" + secret + ";b", "", "", 400, notForm},
	"query: a bad escape":                {"username=" + secret + "%", "", "", 400, notForm},
	"query: not UTF-8":                   {"username=" + secret + "%c3%28", "", "", 400, "username is not UTF-8, or has a NUL in it"},
	"query: NUL":                         {"username=" + secret + "%00", "", "", 400, "username is not UTF-8, or has a NUL in it"},
	"query: a long value":                {"username=" + strings.Repeat("a", 8193), "", "", 400, "username is too long"},
	"query: many fields":                 {fieldsOf(65, "a%d", "&"), "", "", 400, "there are too many fields"},
	"query and form":                     {"username=" + secret, form, "username=" + secret, 400, "username is there twice"},
	"query and form: many":               {fieldsOf(33, "a%d", "&"), form, fieldsOf(33, "b%d", "&"), 400, "there are too many fields"},
	"query and form, empty":              {"username", form, "username=" + secret, 400, "username is there twice"},
	"query and parts":                    {"username=" + secret, parts, whole(part("username", secret)), 400, "username is there twice"},
	"query and JSON":                     {"username=" + secret, jason, `{"username":"` + secret + `"}`, 400, "username is there twice"},
	"query and JSON, a null":             {"username=" + secret, jason, `{"username":null}`, 400, "username is there twice"},
	"query and JSON, both of a stranger": {secret, jason, `{"` + secret + `":1}`, 400, "a field is there twice"},

	"parts: twice":                        {"", parts, whole(part("username", secret), part("username", secret)), 400, "username is there twice"},
	"parts: twice, unknown":               {"", parts, whole(part(secret, "1"), part(secret, "1")), 400, "a field is there twice"},
	"parts: no name":                      {"", parts, whole("--b0undary\r\nContent-Disposition: form-data\r\n\r\n" + secret + "\r\n"), 400, "a part does not say which field it is"},
	"parts: an empty name":                {"", parts, whole(part("", secret)), 400, "a part does not say which field it is"},
	"parts: no header":                    {"", parts, whole("--b0undary\r\n\r\n" + secret + "\r\n"), 400, notMultipart},
	"parts: other headers":                {"", parts, whole("--b0undary\r\nX: y\r\n\r\n" + secret + "\r\n"), 400, "a part does not say which field it is"},
	"parts: a line that is no header":     {"", parts, whole(part("username", "", secret)), 400, notMultipart},
	"parts: an attachment":                {"", parts, whole("--b0undary\r\nContent-Disposition: attachment; name=" + secret + "\r\n\r\n\r\n"), 400, "a part does not say which field it is"},
	"parts: two dispositions":             {"", parts, whole(part("username", secret, "Content-Disposition: form-data; name=x")), 400, "a part does not say which field it is"},
	"parts: two names":                    {"", parts, whole(part(`username"; name="`+secret, "")), 400, "a part does not say which field it is"},
	"parts: another name with a star":     {"", parts, whole(part(`username"; name*="utf-8''password`, secret)), 400, "a part does not say which field it is"},
	"parts: a file":                       {"", parts, whole(part(`username"; filename="`+secret, secret)), 400, "username is a file, and files are not accepted"},
	"parts: a file without a name":        {"", parts, whole(part(`username"; filename="`, secret)), 400, "username is a file, and files are not accepted"},
	"parts: a file with a star":           {"", parts, whole(part(`username"; filename*="utf-8''a`, secret)), 400, "a part does not say which field it is"},
	"parts: a file of a stranger":         {"", parts, whole(part(secret+`"; filename="a`, "")), 400, "a field is a file, and files are not accepted"},
	"parts: parts in a part":              {"", parts, whole(part("username", secret, "Content-Type: multipart/mixed; boundary=c")), 400, "username must be text, as it is"},
	"parts: JSON in a part":               {"", parts, whole(part(secret, secret, "Content-Type: application/json")), 400, "a field must be text, as it is"},
	"parts: base64":                       {"", parts, whole(part("username", secret, "Content-Transfer-Encoding: base64")), 400, "username must be text, as it is"},
	"parts: quoted-printable":             {"", parts, whole(part("username", secret, "Content-Transfer-Encoding: quoted-printable")), 400, "username must be text, as it is"},
	"parts: which is UTF-16":              {"", parts, whole(part("username", secret, "Content-Type: text/plain; charset=utf-16")), 400, "username must be in UTF-8, and say so"},
	"parts: which is Latin, beyond it":    {"", parts, whole(part("username", secret+"ü", "Content-Type: text/plain; charset=ISO-8859-1")), 400, "username must be in UTF-8, and say so"},
	"parts: not UTF-8":                    {"", parts, whole(part("username", secret+"\xff")), 400, "username is not UTF-8, or has a NUL in it"},
	"parts: NUL":                          {"", parts, whole(part("username", secret+"\x00")), 400, "username is not UTF-8, or has a NUL in it"},
	"parts: not UTF-8, in a header":       {"", parts, whole(part("username", secret, "X: \xff")), 400, notMultipart},
	"parts: a long value":                 {"", parts, whole(part("username", strings.Repeat("a", 8193))), 400, "username is too long"},
	"parts: a long name":                  {"", parts, whole(part(secret+strings.Repeat("a", 128), "")), 400, "a field has a name that is too long"},
	"parts: many":                         {"", parts, whole(fieldsOf(65, part("a%d", ""), "")), 400, "there are too many fields"},
	"parts: very many":                    {"", parts, strings.Repeat("\r\n--b0undary", 5000), 400, notMultipart},
	"parts: too large":                    {"", parts, whole(part("username", strings.Repeat(secret, 10<<20/6))), 413, "the body is too large"},
	"parts: ends in a value":              {"", parts, part("username", "anna") + part("password", secret), 400, notMultipart},
	"parts: ends in a header":             {"", parts, part("username", secret) + "--b0undary\r\nContent-Disp", 400, notMultipart},
	"parts: ends in the last line":        {"", parts, part("username", secret) + "--b0undary-", 400, notMultipart},
	"parts: another boundary":             {"", "multipart/form-data; boundary=other", whole(part("username", secret)), 400, notMultipart},
	"parts: a longer boundary":            {"", "multipart/form-data; boundary=b0undar", whole(part("username", secret)), 400, notMultipart},
	"parts: something before":             {"", parts, secret + "\r\n" + whole(part("username", secret)), 400, notMultipart},
	"parts: something behind":             {"", parts, whole(part("username", "anna")) + secret, 400, notMultipart},
	"parts: more parts behind":            {"", parts, whole() + whole(part("username", secret)), 400, notMultipart},
	"parts: lines that end otherwise":     {"", parts, strings.ReplaceAll(whole(part("username", secret)), "\r", ""), 400, notMultipart},
	"parts: a header that ends otherwise": {"", parts, whole("--b0undary\r\nContent-Disposition: form-data; name=username\n\r\n" + secret + "\r\n\r\n\r\n"), 400, notMultipart},
	"parts: a space in a delimiter":       {"", parts, strings.Replace(whole(part("username", secret)), "y\r", "y \r", 1), 400, notMultipart},
	"parts: no boundary":                  {"", "multipart/form-data", secret, 415, "the header Content-Type does not say the boundary"},
	"parts: an empty boundary":            {"", `multipart/form-data; boundary=""`, secret, 415, parameter},
	"parts: a long boundary":              {"", "multipart/form-data; boundary=" + strings.Repeat("b", 71), secret, 415, parameter},
	"parts: a boundary, no UTF-8":         {"", "multipart/form-data; boundary=\"\xff\"", "--\xff--", 415, parameter},
	"parts: a boundary with a NUL":        {"", "multipart/form-data; boundary=\"a\x00\"", "--a\x00--", 415, parameter},
	"parts: two boundaries":               {"", parts + "; boundary=c", secret, 415, "the header Content-Type cannot be read"},
	"parts: a boundary with a star":       {"", parts + "; boundary*=utf-8''c", secret, 415, kind},
	"parts: of mail":                      {"", "multipart/mixed", whole(part("username", secret)), 415, notSupported},
	"parts: but it is a form":             {"", parts, "username=" + secret, 400, notMultipart},

	"JSON: twice":                 {"", jason, `{"username":"` + secret + `","username":"` + secret + `"}`, 400, "username is there twice"},
	"JSON: twice, in an escape":   {"", jason, `{"username":"` + secret + `","\u0075sername":"` + secret + `"}`, 400, "username is there twice"},
	"JSON: twice, a null":         {"", jason, `{"username":null,"username":"` + secret + `"}`, 400, "username is there twice"},
	"JSON: twice, unknown":        {"", jason, `{"` + secret + `":1,"` + secret + `":1}`, 400, "a field is there twice"},
	"JSON: twice, within":         {"", jason, `{"x":[{"y":{"` + secret + `":1,"` + secret + `":2}}]}`, 400, "a field is there twice"},
	"JSON: twice, a name within":  {"", jason, `{"x":{"username":1,"username":2}}`, 400, "a field is there twice"},
	"JSON: no name":               {"", jason, `{"":"` + secret + `"}`, 400, "a field has no name"},
	"JSON: not UTF-8":             {"", jason, `{"username":"` + secret + "\xff" + `"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: UTF-16":                {"", jason, "\xff\xfe{\x00}\x00", 400, notJSON},
	"JSON: a mark in front":       {"", jason, "\ufeff{}", 400, notJSON},
	"JSON: NUL":                   {"", jason, `{"username":"` + secret + `\u0000"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: NUL, a name":           {"", jason, `{"` + secret + `\u0000":""}`, 400, "a field has a name that is not UTF-8, or has a NUL in it"},
	"JSON: NUL, raw":              {"", jason, `{"username":"` + secret + "\x00" + `"}`, 400, notJSON},
	"JSON: the first of a pair":   {"", jason, `{"username":"` + secret + `\ud83d"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: two first of a pair":   {"", jason, `{"username":"` + secret + `\ud83d\ud83d"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: the second of a pair":  {"", jason, `{"username":"` + secret + `\ude00"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: a pair in wrong order": {"", jason, `{"username":"` + secret + `\ude00\ud83d"}`, 400, "username is not UTF-8, or has a NUL in it"},
	"JSON: a long value":          {"", jason, `{"password":"` + strings.Repeat("a", 8193) + `"}`, 400, "password is too long"},
	"JSON: a long number":         {"", jason, `{"account_id":` + strings.Repeat("1", 8193) + `}`, 400, "account_id is too long"},
	"JSON: a long value, within":  {"", jason, `{"roles":["` + strings.Repeat("a", 8193) + `"]}`, 400, "roles is too long"},
	"JSON: a long value, unknown": {"", jason, `{"` + secret + `":{"x":"` + strings.Repeat("a", 8193) + `"}}`, 400, "a field is too long"},
	"JSON: a long name":           {"", jason, `{"` + secret + strings.Repeat("a", 128) + `":1}`, 400, "a field has a name that is too long"},
	"JSON: a long name, within":   {"", jason, `{"x":{"` + secret + strings.Repeat("a", 128) + `":1}}`, 400, "a field has a name that is too long"},
	"JSON: many fields":           {"", jason, "{" + fieldsOf(65, `"a%d":1`, ",") + "}", 400, "there are too many fields"},
	"JSON: many fields, within":   {"", jason, `{"x":[{` + fieldsOf(65, `"a%d":1`, ",") + "}]}", 400, "there are too many fields"},
	"JSON: too large":             {"", jason, `{"username":"` + strings.Repeat(secret, 10<<20/6) + `"}`, 413, "the body is too large"},
	"JSON: deep":                  {"", jason, `{"roles":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + `}`, 400, "roles is nested too deep"},
	"JSON: deep, of objects":      {"", jason, strings.Repeat(`{"x":`, 9) + "1" + strings.Repeat("}", 9), 400, "a field is nested too deep"},
	"JSON: very deep":             {"", jason, `{"roles":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, 400, notJSON},
	"JSON: an array":              {"", jason, `["` + secret + `"]`, 400, notJSON},
	"JSON: a text":                {"", jason, `"` + secret + `"`, 400, notJSON},
	"JSON: null":                  {"", jason, `null`, 400, notJSON},
	"JSON: two":                   {"", jason, `{}{"username":"` + secret + `"}`, 400, notJSON},
	"JSON: something behind":      {"", jason, `{"username":"x"}` + secret, 400, notJSON},
	"JSON: ends in a value":       {"", jason, `{"username":"` + secret, 400, notJSON},
	"JSON: ends before the end":   {"", jason, `{"username":"` + secret + `"`, 400, notJSON},
	"JSON: nothing but spaces":    {"", jason, "  ", 400, notJSON},
	"JSON: a comma too many":      {"", jason, `{"username":"` + secret + `",}`, 400, notJSON},
	"JSON: no quotes":             {"", jason, `{` + secret + `:1}`, 400, notJSON},
	"JSON: a comment":             {"", jason, `{/*` + secret + `*/}`, 400, notJSON},
	"JSON: a number that is none": {"", jason, `{"account_id":01}`, 400, notJSON},
	"JSON: NaN":                   {"", jason, `{"account_id":NaN}`, 400, notJSON},
	"JSON: but it is a form":      {"", jason, "username=" + secret, 400, notJSON},
	"JSON: which is UTF-16":       {"", jason + "; charset=utf-16", `{}`, 415, parameter},
	"JSON: with a boundary":       {"", jason + "; boundary=" + secret, `{}`, 415, parameter},
	"JSON: with lines":            {"", "application/json-seq", "{}", 415, notSupported},
	"another type":                {"", "text/plain", "username=" + secret, 415, notSupported},
	"another type, of a stranger": {"", "text/" + secret, secret, 415, notSupported},
	"no type":                     {"", "", "username=" + secret, 415, kind},
	"two types in one":            {"", form + ", " + jason, secret, 415, "the header Content-Type cannot be read"},
	"a type that cannot be read":  {"", secret + " /;;", secret, 415, "the header Content-Type cannot be read"},
	"a type with a parameter":     {"", form + "; " + secret + "=" + secret, secret, 415, parameter},
	"a type with a star":          {"", form + "; charset=utf-16; charset*=utf-8''utf-8", secret, 415, kind},
}

func TestHostileRequestsAreRefusedAndNotRepeated(t *testing.T) {
	for name, x := range refused {
		_, err := read(request(x.query, x.kind, x.body))
		if got := refusalOf(t, err); got != (refusal{x.status, x.text}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// JSON that is declared as a form is a form with one field, whose name no caller asks for.
func TestJSONThatIsSaidToBeAFormHasNoFieldsOfOurs(t *testing.T) {
	f, err := read(request("", form, `{"username":"`+secret+`"}`))
	if err == nil {
		_, err = loginOf(f)
	}
	if got := refusalOf(t, err); got != (refusal{400, "username is required"}) {
		t.Errorf("%v", got)
	}
}

func TestWhatIsCompressedOrOfTwoTypesIsNotRead(t *testing.T) {
	const compressed = "the body must not be compressed"
	for header, want := range map[string]refusal{
		"Content-Encoding: identity":            {},
		"Content-Encoding: Identity":            {},
		"Content-Encoding: gzip":                {415, compressed},
		"Content-Encoding: identity, gzip":      {415, compressed},
		"Content-Encoding: " + secret:           {415, compressed},
		"Content-Type: " + jason:                {http.StatusUnsupportedMediaType, kind},
		"Content-Type: " + form:                 {http.StatusUnsupportedMediaType, kind},
		"Content-Type: text/plain; x=" + secret: {http.StatusUnsupportedMediaType, kind},
	} {
		_, err := read(request("", form, "username="+secret, header))
		if got := refusalOf(t, err); got != want {
			t.Errorf("%s: %v", header, got)
		}
	}
	if _, err := read(request("username=anna", "", "", "Content-Encoding: gzip")); err != nil {
		t.Errorf("nothing, compressed: %v", err)
	}
}

func TestTheBoundsThemselvesAreAllowed(t *testing.T) {
	long, name := strings.Repeat("ü", 4096), strings.Repeat("n", 128)
	for what, x := range map[string][3]string{
		"values and names of a form":   {"", form, "username=" + long + "&" + name + "=1"},
		"values and names of parts":    {"", parts, whole(part("username", long), part(name, "1"))},
		"values and names of JSON":     {"", jason, `{"username":"` + long + `","` + name + `":1}`},
		"as many fields of a form":     {"", form, fieldsOf(64, "a%d", "&")},
		"as many fields of parts":      {"", parts, whole(fieldsOf(64, part("a%d", ""), ""))},
		"as many fields of JSON":       {"", jason, "{" + fieldsOf(64, `"a%d":1`, ",") + "}"},
		"as many fields in two":        {fieldsOf(32, "a%d", "&"), form, fieldsOf(32, "b%d", "&")},
		"JSON that is as deep":         {"", jason, strings.Repeat(`{"x":`, 8) + "1" + strings.Repeat("}", 8)},
		"JSON with a surrogate pair":   {"", jason, `{"username":"\ud83d\ude00\\u0000\\ud83d"}`},
		"a body that is as large":      {"", jason, "{" + strings.Repeat(" ", most-2) + "}"},
		"a body of the least":          {"", jason, "{}"},
		"a boundary that is as long":   {"", "multipart/form-data; boundary=" + name[:70], "--" + name[:70] + "--"},
		"a delimiter within a line":    {"", parts, whole(part("username", "a--b0undary--"))},
		"a part that ends with a line": {"", parts, whole(part("username", "a\r\n"))},
	} {
		if _, err := read(request(x[0], x[1], x[2])); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
