package kube_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// cuttableTransport is a connection to the API server that can be cut. While it is cut, watches end
// and requests wait.
type cuttableTransport struct {
	base http.RoundTripper

	mu      sync.Mutex
	intact  chan struct{} // closed unless the line is cut
	expired bool          // the next watch starts from a resourceVersion that is too old
	watches []*watchBody
}

func newCuttableTransport(to http.RoundTripper) *cuttableTransport {
	l := &cuttableTransport{base: to, intact: make(chan struct{})}
	close(l.intact)
	return l
}

func (l *cuttableTransport) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.intact = make(chan struct{})
	for _, b := range l.watches {
		b.isCut.Store(true)
		b.Close()
	}
	l.watches = nil
}

// restore restores the connection. If expired is set, the API server has forgotten the old
// resourceVersion, and answers the next watch with 410 Gone.
func (l *cuttableTransport) restore(expired bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expired = expired
	close(l.intact)
}

// RoundTrip implements http.RoundTripper.
func (l *cuttableTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	l.mu.Lock()
	whole := l.intact
	l.mu.Unlock()
	select {
	case <-whole:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	if req.URL.Query().Get("watch") == "" {
		return l.base.RoundTrip(req)
	}
	if l.takeExpired() {
		return &http.Response{
			StatusCode: http.StatusGone, Request: req, ProtoMajor: 2,
			Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(
				`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old resource version"}`)),
		}, nil
	}
	answer, err := l.base.RoundTrip(req)
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		b := &watchBody{ReadCloser: answer.Body}
		answer.Body, l.watches = b, append(l.watches, b)
	}
	return answer, err
}

func (l *cuttableTransport) takeExpired() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.expired
	l.expired = false
	return was
}

// watchBody is the body of a watch. After a cut it ends like that of an API server, with a regular
// EOF.
type watchBody struct {
	io.ReadCloser
	isCut atomic.Bool
}

func (b *watchBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.isCut.Load() {
		err = io.EOF
	}
	return n, err
}
