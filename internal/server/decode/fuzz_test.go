package decode_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apptoken/operator/internal/server/decode"
)

// fuzzPieces of text that are special in some encoding.
var fuzzPieces = []string{"", "a", "ü", "\xff", "\x00", `\u0000`, `\ud800`, "\ufffd", "%00", "%ff", "+", "%", ";", "=", "&", `"`, `\`, "\r\n", "\u2028", "<", "*", "--b0undary", "😀", strings.Repeat("a", 129), strings.Repeat("a", 8193)}

// checkError fails for an error that is no *decode.Error, or that names an unknown field.
func checkError(t *testing.T, err error) {
	t.Helper()
	e, is := errors.AsType[*decode.Error](err)
	if !is || e.Status != 400 && e.Status != 415 || e.Field != "" && !slices.Contains(knownFields, e.Field) || strings.Contains(e.Message, "%!") {
		t.Errorf("%T %v", err, err)
	}
}

// isValidText reports whether s is UTF-8 without a NUL.
func isValidText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// readAllTypes reads every field as every type, to find panics.
func readAllTypes(t *testing.T, f decode.Fields) {
	t.Helper()
	for _, name := range knownFields {
		_, err1 := f.Required(name)
		n, _, err2 := f.Integer(name, -5, 5)
		_, _, err3 := f.Flag(name)
		list, _, err4 := f.List(name)
		for _, err := range []error{err1, err2, err3, err4} {
			if e, is := errors.AsType[*decode.Error](err); err != nil && (!is || e.Field != name) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n < -5 || n > 5 || slices.Contains(list, "") {
			t.Errorf("%s: %d, %q", name, n, list)
		}
	}
}

// checkTexts fails unless all fields are text within the limits.
func checkTexts(t *testing.T, all map[string]string) {
	t.Helper()
	if len(all) > 64 {
		t.Errorf("%d fields", len(all))
	}
	for name, v := range all {
		if name == "" || len(name) > 128 || len(v) > 8192 || !isValidText(name) || !isValidText(v) {
			t.Errorf("%q is %q", name, v)
		}
	}
}

func FuzzForm(f *testing.F) {
	for _, p := range fuzzPieces {
		f.Add("username=" + p)
		f.Add(p + "=a&account_id=1&" + p)
		f.Add("username=" + url.QueryEscape(p) + "&" + url.QueryEscape(p) + "=&roles=a,b")
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := decode.ParseForm(text, knownFields...)
		if err != nil {
			checkError(t, err)
			return
		}
		all := got.FormValues()
		checkTexts(t, all)
		readAllTypes(t, got)
		other, err := url.ParseQuery(text)
		if err != nil || len(other) != len(all) {
			t.Fatalf("net/url reads %q, %v", other, err)
		}
		for name, v := range all {
			if !slices.Equal(other[name], []string{v}) {
				t.Errorf("%q is %q; to net/url %q", name, v, other[name])
			}
			if _, err := decode.ParseForm(text+"&"+url.QueryEscape(name), knownFields...); err == nil {
				t.Errorf("%q is accepted twice", name)
			}
		}
		if again, err := decode.ParseForm(other.Encode()); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("written again, it is %v, %v", again, err)
		}
	})
}

func FuzzMultipart(f *testing.F) {
	for _, p := range fuzzPieces {
		f.Add(multipartOf(partWith(p, p), partWith("password", "a"+p, `X-"`+p+`": a`)), "b0undary")
		f.Add(multipartOf(partWith("username", p), partWith(p, "a"), partWith("account_id", "1", "Content-Type: text/plain; charset=utf-8")), "b0undary")
		f.Add(multipartOf(partWith("username", "a", "X: "+p))+p, "b0undary")
		f.Add(p+multipartOf(partWith(p+`"; filename="a`, "")), "b0undary")
		f.Add("--"+p+"\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--"+p+"--", p)
		f.Add(strings.Replace(multipartOf(partWith("username", "a")), "y\r", "y"+p+"\r", 1), "b0undary")
	}
	f.Fuzz(func(t *testing.T, body, boundary string) {
		if boundary == "" || len(boundary) > 70 || strings.ContainsAny(boundary, "\r\n") || !isValidText(boundary) {
			return // no header declares it
		}
		got, err := decode.ParseMultipart(body, boundary, knownFields...)
		if err != nil {
			checkError(t, err)
			return
		}
		if !isValidText(body) {
			t.Errorf("%q is accepted", body)
		}
		all := got.FormValues()
		checkTexts(t, all)
		readAllTypes(t, got)
		other, err := multipart.NewReader(strings.NewReader(body), boundary).ReadForm(1 << 20)
		if err != nil || len(other.File) > 0 || len(other.Value) != len(all) {
			t.Fatalf("mime/multipart reads %v, %v", other, err)
		}
		var again bytes.Buffer
		w := multipart.NewWriter(&again)
		for name, v := range all {
			if !slices.Equal(other.Value[name], []string{v}) {
				t.Errorf("%q is %q; to mime/multipart %q", name, v, other.Value[name])
			}
			if err := w.WriteField(name, v); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if read, err := decode.ParseMultipart(again.String(), w.Boundary()); err != nil || !reflect.DeepEqual(read, got) {
			t.Errorf("written again, it is %v, %v", read, err)
		}
		for name := range all {
			twice := strings.TrimSuffix(again.String(), "--\r\n") + "\r\nContent-Disposition: form-data; name=\"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + "\"\r\n\r\n\r\n--" + w.Boundary() + "--"
			if _, err := decode.ParseMultipart(twice, w.Boundary()); err == nil || !strings.Contains(err.Error(), "twice") && len(all) < 64 {
				t.Errorf("%q is accepted twice, or %v", name, err)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, p := range fuzzPieces {
		quoted, _ := json.Marshal(p)
		f.Add(`{"username":"` + p + `","` + p + `":1}`)
		f.Add(`{"x":{"y":["` + p + `",{"` + p + `":1}]},"roles":["a","` + p + `"]}`)
		f.Add(`{"username":` + string(quoted) + `,` + string(quoted) + `:{"a":[` + string(quoted) + `,null,true,-1.5e3]}}` + p)
	}
	for _, s := range []string{`{"a":1,"a":2}`, `{"a":{"b":1,"\u0062":1}}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, `{"a":"\\u0000\/\b"}`, `[]`, `{}{}`, `{"a":1E400,"b":-0}`, strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9), strings.Repeat("[", 10001)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := decode.ParseJSON(text, knownFields...)
		both, err2 := decode.Read(httptest.NewRecorder(), newRequest("", jsonType, text), 1<<20, decode.Body, knownFields...)
		mine, err3 := decode.ReadInto[application](httptest.NewRecorder(), newRequest("", jsonType, text), 1<<20)
		if err3 != nil {
			e, is := errors.AsType[*decode.Error](err3)
			if !is || e.Status != 400 && e.Status != 413 || !reflect.DeepEqual(mine, application{}) {
				t.Errorf("a struct: %v", err3)
			}
		}
		if err != nil {
			checkError(t, err)
			if strings.HasSuffix(err.Error(), "NUL in it") && (!json.Valid([]byte(text)) || utf8.ValidString(text) && !strings.Contains(text, `\u`)) {
				t.Errorf("%q: %v", text, err)
			}
			if text != "" && len(text) <= 1<<20 && (err2 == nil || err3 == nil) {
				t.Errorf("refused, %v; and accepted: %v, %v", err, err2, err3)
			}
			return
		}
		readAllTypes(t, both)
		var other map[string]any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&other); err != nil || !reflect.DeepEqual(got, other) {
			t.Errorf("%v; to encoding/json %v, %v", got, other, err)
		}
		if mended := strings.Contains(fmt.Sprint(other), "\ufffd") && !strings.Contains(text, "\ufffd") && !strings.Contains(strings.ToLower(text), `\ufffd`); mended || !utf8.ValidString(text) {
			t.Errorf("%q is accepted, as %v", text, other)
		}
		if strings.Contains(text, `\u0000`) && strings.Contains(strings.ReplaceAll(text, `\\`, ""), `\u0000`) {
			t.Errorf("there is a NUL in %q", text)
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if read, err := decode.ParseJSON(string(again)); err != nil || !reflect.DeepEqual(read, got) {
			t.Errorf("written again, it is %v, %v", read, err)
		}
		for name := range got {
			quoted, _ := json.Marshal(name)
			if _, err := decode.ParseJSON(strings.Replace(text, "{", "{"+string(quoted)+":null,", 1)); err == nil {
				t.Errorf("%q is accepted twice", name)
			}
		}
	})
}
