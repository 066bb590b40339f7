package fields_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/server/fields"
)

// The headers of bodies.
const (
	form  = "application/x-www-form-urlencoded"
	parts = "multipart/form-data; boundary=b0undary"
	jason = "application/json"
)

// most is how large the bodies of these tests may be.
const most = 64 << 10

// secret is what a stranger writes; no error may repeat it.
const secret = "s3cr3t"

// known are the names that the code of these tests asks for.
var known = []string{"username", "password", "account_id", "remember-me", "roles"}

// request is one that reaches a handler, without what net/http would refuse before.
func request(query, kind, body string, header ...string) *http.Request {
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

// read reads all that may be read.
func read(r *http.Request) (fields.Fields, error) {
	return fields.Read(httptest.NewRecorder(), r, most, fields.Query|fields.Body, known...)
}

// login is what a protocol asks for.
type login struct {
	user, password string
	account        int64
	remember       bool
	roles          []string
}

// loginOf asks for every field, and gives the first error.
func loginOf(f fields.Fields) (l login, err error) {
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

// refusal is what an error says: its status, and its text.
type refusal struct {
	status int
	text   string
}

// refusalOf fails for errors of other types, and for those that repeat what nobody but a stranger wrote.
func refusalOf(t testing.TB, err error, asked ...string) refusal {
	t.Helper()
	if err == nil {
		return refusal{}
	}
	e, is := errors.AsType[*fields.Error](err)
	if !is {
		t.Fatalf("%T: %v", err, err)
	}
	if e.Field != "" && !slices.Contains(append(asked, known...), e.Field) {
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

// part writes a part of a body, with further headers.
func part(name, value string, header ...string) string {
	head := append([]string{`Content-Disposition: form-data; name="` + name + `"`}, header...)
	return "--b0undary\r\n" + strings.Join(head, "\r\n") + "\r\n\r\n" + value + "\r\n"
}

// whole writes a body of parts.
func whole(all ...string) string { return strings.Join(all, "") + "--b0undary--\r\n" }
