package fields_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/server/fields"
)

// chunks returns a body in chunks, without the last chunk.
func chunks(body string) string {
	var all strings.Builder
	for len(body) > 0 {
		n := min(len(body), 5000)
		fmt.Fprintf(&all, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return all.String()
}

// The status is that of the error, or 200. The text is that of the error, or the user's name.
func TestBodiesAreReadFromTheWireToTheirEnd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := fields.Read(w, r, most, fields.Body, known...)
		text, err2 := f.Required("username")
		if e, is := errors.AsType[*fields.Error](errors.Join(err, err2)); is {
			w.WriteHeader(e.Status)
			text = e.Error()
		}
		fmt.Fprint(w, text)
	}))
	defer s.Close()
	const unended = "the body cannot be read to its end"
	large := strings.Repeat("a", 10<<20)
	length := func(n int, body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", n, body) }
	chunked := func(body, end string) string { return "Transfer-Encoding: chunked\r\n\r\n" + chunks(body) + end }
	for name, x := range map[string]struct {
		kind, rest string // of the request, after the type
		status     int
		text       string
	}{
		"a form":                      {form, length(13, "username=anna"), 200, "anna"},
		"a form in chunks":            {form, chunked("username=anna", "0\r\n\r\n"), 200, "anna"},
		"JSON in chunks":              {jason, chunked(`{"username":"anna"}`+strings.Repeat(" ", 20000), "0\r\n\r\n"), 200, "anna"},
		"parts in chunks":             {parts, chunked(whole(part("username", "anna")), "0\r\n\r\n"), 200, "anna"},
		"no chunk":                    {jason, chunked("", "0\r\n\r\n"), 400, "username is required"},
		"no body":                     {jason, length(0, ""), 400, "username is required"},
		"a form that ends":            {form, length(14, "username=anna"), 400, unended},
		"JSON that ends":              {jason, length(20, `{"username":"anna"}`), 400, unended},
		"parts that end":              {parts, length(300, whole(part("username", "anna"))), 400, unended},
		"a form without a last chunk": {form, chunked("username=anna", ""), 400, unended},
		"a form with a bad chunk":     {form, chunked("username=anna", secret), 400, unended},
		"10 MB":                       {form, length(len(large), large), 413, "the body is too large"},
		"10 MB in chunks":             {form, chunked(large, "0\r\n\r\n"), 413, "the body is too large"},
		"a byte too many":             {jason, chunked(strings.Repeat(" ", most+1), "0\r\n\r\n"), 413, "the body is too large"},
		"compressed":                  {form + "\r\nContent-Encoding: gzip", length(4, "\x1f\x8b\x08\x00"), 415, "the body must not be compressed"},
		"two types":                   {form + "\r\nContent-Type: " + jason, length(13, "username=anna"), 415, kind},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := send(t, s.Listener.Addr().String(), "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: "+x.kind+"\r\n"+x.rest)
			if status != x.status || text != x.text {
				t.Errorf("%d %q", status, text)
			}
		})
	}
}

// send writes a request as it is, closes its side of the connection, and reads the response. A
// server that refuses early may not read all of the request.
func send(t *testing.T, address, text string) (int, string) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		if _, err := io.WriteString(c, text); err == nil {
			_ = c.(*net.TCPConn).CloseWrite()
		}
	}()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestNestingCostsNoStack(t *testing.T) {
	for name, body := range map[string]string{
		"arrays":             strings.Repeat("[", 100000) + strings.Repeat("]", 100000),
		"arrays in a member": `{"roles":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + "}",
		"objects":            strings.Repeat(`{"a":`, 100000) + "1" + strings.Repeat("}", 100000),
		"objects, unended":   strings.Repeat(`{"a":`, 100000),
	} {
		for what, err := range map[string]error{
			"fields":   second(fields.Read(httptest.NewRecorder(), request("", jason, body), 1<<20, fields.Body)),
			"a struct": second(fields.ReadInto[application](httptest.NewRecorder(), request("", jason, body), 1<<20)),
		} {
			if got := refusalOf(t, err); got != (refusal{400, notJSON}) {
				t.Errorf("%s, %s: %v", name, what, got)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }
