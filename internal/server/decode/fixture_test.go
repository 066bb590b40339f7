package decode_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/server/decode"
)

// Content types of bodies.
const (
	formType      = "application/x-www-form-urlencoded"
	multipartType = "multipart/form-data; boundary=b0undary"
	jsonType      = "application/json"
)

// maxBody is the maximum body size in these tests.
const maxBody = 64 << 10

// secret is text of a client; no error may repeat it.
const secret = "s3cr3t"

// knownFields are the field names that these tests ask for.
var knownFields = []string{"username", "password", "account_id", "remember-me", "roles"}

// newRequest returns a request as a handler gets it, past the checks of net/http.
func newRequest(query, kind, body string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/login", io.NopCloser(strings.NewReader(body)))
	r.URL.RawQuery = query
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// readAll reads the query and the body.
func readAll(r *http.Request) (decode.Fields, error) {
	return decode.Read(httptest.NewRecorder(), r, maxBody, decode.Query|decode.Body, knownFields...)
}

// login is the set of fields that a protocol asks for.
type login struct {
	user, password string
	account        int64
	remember       bool
	roles          []string
}

// loginOf reads every field, and returns the first error.
func loginOf(f decode.Fields) (l login, err error) {
	var errs [5]error
	l.user, errs[0] = f.Required("username")
	l.password, errs[1] = f.Required("password")
	l.account, _, errs[2] = f.Integer("account_id", 1, 1<<53)
	l.remember, _, errs[3] = f.Flag("remember-me")
	l.roles, _, errs[4] = f.List("roles")
	for _, err := range errs {
		if err != nil {
			return login{}, err
		}
	}
	return l, nil
}

// refusal is the status and the text of an error.
type refusal struct {
	status int
	text   string
}

// refusalOf returns the refusal of an error. It fails for errors of other types, and for those that
// repeat text of a client.
func refusalOf(t testing.TB, err error, asked ...string) refusal {
	t.Helper()
	if err == nil {
		return refusal{}
	}
	e, is := errors.AsType[*decode.Error](err)
	if !is {
		t.Fatalf("%T: %v", err, err)
	}
	if e.Field != "" && !slices.Contains(append(asked, knownFields...), e.Field) {
		t.Errorf("the error names %q", e.Field)
	}
	if !slices.Contains([]int{400, 413, 415}, e.Status) {
		t.Errorf("the status is %d", e.Status)
	}
	if strings.Contains(err.Error(), secret) || strings.Contains(e.Message, secret) {
		t.Errorf("the error repeats the request: %v", err)
	}
	return refusal{e.Status, err.Error()}
}

// partWith returns a part of a body, with more headers.
func partWith(name, value string, header ...string) string {
	head := append([]string{`Content-Disposition: form-data; name="` + name + `"`}, header...)
	return "--b0undary\r\n" + strings.Join(head, "\r\n") + "\r\n\r\n" + value + "\r\n"
}

// multipartOf returns a body of parts.
func multipartOf(all ...string) string { return strings.Join(all, "") + "--b0undary--\r\n" }
