package decode_test

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

	"github.com/apptoken/operator/internal/server/decode"
)

// chunkedBody returns a body in chunks, without the last chunk.
func chunkedBody(body string) string {
	var all strings.Builder
	for len(body) > 0 {
		n := min(len(body), 5000)
		fmt.Fprintf(&all, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return all.String()
}

// The status is that of the error, or 200. The text is that of the error, or the user's name.
func TestRead_BodyIsReadFromTheWireToItsEnd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := decode.Read(w, r, maxBody, decode.Body, knownFields...)
		text, err2 := f.Required("username")
		if e, is := errors.AsType[*decode.Error](errors.Join(err, err2)); is {
			w.WriteHeader(e.Status)
			text = e.Error()
		}
		fmt.Fprint(w, text)
	}))
	defer s.Close()
	const unended = "the body cannot be read to its end"
	large := strings.Repeat("a", 10<<20)
	length := func(n int, body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", n, body) }
	chunked := func(body, end string) string { return "Transfer-Encoding: chunked\r\n\r\n" + chunkedBody(body) + end }
	for name, x := range map[string]struct {
		msgContentType, rest string // of the request, after the type
		status               int
		isValidText          string
	}{
		"a form":                      {formType, length(13, "username=anna"), 200, "anna"},
		"a form in chunks":            {formType, chunked("username=anna", "0\r\n\r\n"), 200, "anna"},
		"JSON in chunks":              {jsonType, chunked(`{"username":"anna"}`+strings.Repeat(" ", 20000), "0\r\n\r\n"), 200, "anna"},
		"parts in chunks":             {multipartType, chunked(multipartOf(partWith("username", "anna")), "0\r\n\r\n"), 200, "anna"},
		"no chunk":                    {jsonType, chunked("", "0\r\n\r\n"), 400, "username is required"},
		"no body":                     {jsonType, length(0, ""), 400, "username is required"},
		"a form that ends":            {formType, length(14, "username=anna"), 400, unended},
		"JSON that ends":              {jsonType, length(20, `{"username":"anna"}`), 400, unended},
		"parts that end":              {multipartType, length(300, multipartOf(partWith("username", "anna"))), 400, unended},
		"a form without a last chunk": {formType, chunked("username=anna", ""), 400, unended},
		"a form with a bad chunk":     {formType, chunked("username=anna", secret), 400, unended},
		"10 MB":                       {formType, length(len(large), large), 413, "the body is too large"},
		"10 MB in chunks":             {formType, chunked(large, "0\r\n\r\n"), 413, "the body is too large"},
		"a byte too many":             {jsonType, chunked(strings.Repeat(" ", maxBody+1), "0\r\n\r\n"), 413, "the body is too large"},
		"compressed":                  {formType + "\r\nContent-Encoding: gzip", length(4, "\x1f\x8b\x08\x00"), 415, "the body must not be compressed"},
		"two types":                   {formType + "\r\nContent-Type: " + jsonType, length(13, "username=anna"), 415, msgContentType},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := send(t, s.Listener.Addr().String(), "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: "+x.msgContentType+"\r\n"+x.rest)
			if status != x.status || text != x.isValidText {
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

func TestJSON_NestingCostsNoStack(t *testing.T) {
	for name, body := range map[string]string{
		"arrays":             strings.Repeat("[", 100000) + strings.Repeat("]", 100000),
		"arrays in a member": `{"roles":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + "}",
		"objects":            strings.Repeat(`{"a":`, 100000) + "1" + strings.Repeat("}", 100000),
		"objects, unended":   strings.Repeat(`{"a":`, 100000),
	} {
		for what, err := range map[string]error{
			"fields":   errorOf(decode.Read(httptest.NewRecorder(), newRequest("", jsonType, body), 1<<20, decode.Body)),
			"a struct": errorOf(decode.ReadInto[application](httptest.NewRecorder(), newRequest("", jsonType, body), 1<<20)),
		} {
			if got := refusalOf(t, err); got != (refusal{400, notJSON}) {
				t.Errorf("%s, %s: %v", name, what, got)
			}
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }
