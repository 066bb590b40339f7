package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// promise opens a connection and sends the headers of a request without its body. It returns the
// readStatus of the response.
func promise(s *servertest.ListenerServer, method, path string, headers ...string) (net.Conn, *bufio.Reader, int) {
	s.T.Helper()
	conn, err := new(net.Dialer).DialContext(s.T.Context(), "tcp", s.Address)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.T.Fatal(err)
	}
	headers = append(headers, "Host: x", "Authorization: Bearer "+s.Tokens["indexer"])
	if _, err := io.WriteString(conn, method+" "+path+" HTTP/1.1\r\n"+strings.Join(headers, "\r\n")+"\r\n\r\n"); err != nil {
		s.T.Fatal(err)
	}
	in := bufio.NewReader(conn)
	return conn, in, readStatus(s, in)
}

// readStatus reads a response to its end, and returns its status.
func readStatus(s *servertest.ListenerServer, in *bufio.Reader) int {
	s.T.Helper()
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		s.T.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err != nil {
		s.T.Fatal(err)
	}
	return res.StatusCode
}

// A response that waited for the body would come at the body's timeout, and close the connection.
func TestUnreadBody_AnswerComesFirst(t *testing.T) {
	s := servertest.NewListenerServer(t, withShortTimeouts)
	promised := map[string][2]string{
		"a length": {"Content-Length: 77", strings.Repeat("a", 77)},
		"chunks":   {"Transfer-Encoding: chunked", "4d\r\n" + strings.Repeat("a", 77) + "\r\n0\r\n\r\n"},
	}
	for target, status := range map[string]int{
		"GET /verify": 200, "POST /verify": 200, "POST /verify?permission=none": 403, "POST /nothing": 404, "GET /oauth2/introspect": 405,
		"GET /openapi.json": 200, "PUT /openapi.json": 405, "POST /verify/permission=search.query/-/search/all": 200,
	} {
		for name, x := range promised {
			method, path, _ := strings.Cut(target, " ")
			conn, in, got := promise(s, method, path, x[0])
			if got != status {
				t.Errorf("%s of %s: %d", name, target, got)
			}
			if _, err := io.WriteString(conn, x[1]+"GET /verify HTTP/1.1\r\nHost: x\r\nX-Security-Token: "+s.Tokens["indexer"]+"\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if got := readStatus(s, in); got != http.StatusOK {
				t.Errorf("%s of %s, the request after it: %d", name, target, got)
			}
		}
	}
}

func TestUnreadBody_LateBodyIsNoRequest(t *testing.T) {
	s := servertest.NewListenerServer(t, withShortTimeouts)
	for _, header := range []string{
		"Content-Length: 77", "Transfer-Encoding: chunked", "Content-Length: 77\r\nConnection: close", "Content-Length: 77\r\nExpect:",
		"Content-Length: 77\r\nExpect: 100-continue", "Content-Length: 1000000",
	} {
		_, in, got := promise(s, http.MethodPost, "/verify", header)
		rest, err := io.ReadAll(in)
		if got != http.StatusOK || len(rest) > 0 || err != nil {
			t.Errorf("%s: %d, and then %q, %v", header, got, rest, err)
		}
	}
}

func TestUnreadBody_AnswerComesFirstOverHTTP2(t *testing.T) {
	s := servertest.NewListenerServer(t, withShortTimeouts)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	body, never := io.Pipe()
	defer never.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Address+"/verify", body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 77
	req.Header.Set("Authorization", "Bearer "+s.Tokens["indexer"])
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("%d", res.StatusCode)
	}
}

// Gateways accept up to 60 KiB of headers, and turn a 431 into an error of their own.
func TestHeaders_AcceptsSizeOfCheckRequest(t *testing.T) {
	s := servertest.NewListenerServer(t, withShortTimeouts)
	plain := &http.Transport{}
	second := &http.Transport{Protocols: new(http.Protocols)}
	second.Protocols.SetUnencryptedHTTP2(true)
	for name, transport := range map[string]*http.Transport{"HTTP/1.1": plain, "HTTP/2": second} {
		defer transport.CloseIdleConnections()
		for size, accepted := range map[int]bool{16 << 10: true, 20 << 10: true, 60 << 10: true, 128 << 10: true, 256 << 10: false} {
			for kind, headers := range map[string]int{"one header": 1, "a hundred headers": 100} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Address+"/verify", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+s.Tokens["indexer"])
				for i := range headers {
					req.Header.Set(fmt.Sprintf("X-Pad-%d", i), strings.Repeat("a", size/headers))
				}
				res, err := transport.RoundTrip(req)
				status := 0
				if err == nil {
					status = res.StatusCode
					res.Body.Close()
				}
				if accepted && status != http.StatusOK || !accepted && status == http.StatusOK {
					t.Errorf("%s, %d bytes in %s: %d, %v", name, size, kind, status, err)
				}
			}
		}
	}
}
