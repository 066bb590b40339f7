package load

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// RawRequest returns an HTTP request in the form in which it is sent. lines are additional headers.
func RawRequest(method, path, credential, contentType, body string, lines ...string) []byte {
	text := method + " " + path + " HTTP/1.1\r\nHost: tokens.example.com\r\n"
	if credential != "" {
		text += "Authorization: Bearer " + credential + "\r\n"
	}
	for _, line := range lines {
		text += line + "\r\n"
	}
	if body != "" {
		text += "Content-Type: " + contentType + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	return []byte(text + "\r\n" + body)
}

// Conn is a connection that stays open for several requests, one after another.
type Conn struct {
	conn    net.Conn
	answers *bufio.Reader
}

// maxRequestTime is how long a client waits for a response.
const maxRequestTime = time.Minute

// Dial opens a connection.
func Dial(ctx context.Context, address string) (*Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &Conn{conn, bufio.NewReader(conn)}, nil
}

// Close closes the connection.
func (l *Conn) Close() error { return l.conn.Close() }

// Send sends a request, and returns the status and the body of the response.
func (l *Conn) Send(request []byte) (int, []byte, error) {
	if err := l.conn.SetDeadline(time.Now().Add(maxRequestTime)); err != nil {
		return 0, nil, err
	}
	if _, err := l.conn.Write(request); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(l.answers, nil)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// Ask sends a request, and decodes the JSON of the response, which must have status 200.
func (l *Conn) Ask(request []byte, answer any) error {
	status, body, err := l.Send(request)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("the answer is %d: %.200s", status, body)
	}
	return json.Unmarshal(body, answer)
}

// AskOnce sends one request over a connection of its own, and decodes the JSON of the response.
func AskOnce(ctx context.Context, address string, request []byte, answer any) error {
	l, err := Dial(ctx, address)
	if err != nil {
		return err
	}
	defer l.Close()
	return l.Ask(request, answer)
}
