package record_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// line is a connection to the API server that can be cut. While it is cut, watches end and requests
// wait.
type line struct {
	to http.RoundTripper

	mu      sync.Mutex
	whole   chan struct{} // closed unless the line is cut
	expired bool          // the next watch starts from a resourceVersion that is too old
	watches []*body
}

func newLine(to http.RoundTripper) *line {
	l := &line{to: to, whole: make(chan struct{})}
	close(l.whole)
	return l
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whole = make(chan struct{})
	for _, b := range l.watches {
		b.over.Store(true)
		b.Close()
	}
	l.watches = nil
}

// mend restores the connection. If expired is set, the API server has forgotten the old
// resourceVersion, and answers the next watch with 410 Gone.
func (l *line) mend(expired bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expired = expired
	close(l.whole)
}

// RoundTrip implements http.RoundTripper.
func (l *line) RoundTrip(req *http.Request) (*http.Response, error) {
	l.mu.Lock()
	whole := l.whole
	l.mu.Unlock()
	select {
	case <-whole:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	if req.URL.Query().Get("watch") == "" {
		return l.to.RoundTrip(req)
	}
	if l.tooLongAgo() {
		return &http.Response{
			StatusCode: http.StatusGone, Request: req, ProtoMajor: 2,
			Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(
				`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old resource version"}`)),
		}, nil
	}
	answer, err := l.to.RoundTrip(req)
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		b := &body{ReadCloser: answer.Body}
		answer.Body, l.watches = b, append(l.watches, b)
	}
	return answer, err
}

func (l *line) tooLongAgo() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.expired
	l.expired = false
	return was
}

// body is the body of a watch. After a cut it ends like that of an API server, with a regular EOF.
type body struct {
	io.ReadCloser
	over atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.over.Load() {
		err = io.EOF
	}
	return n, err
}
