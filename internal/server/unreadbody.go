package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxUnreadBody is how many bytes of a body that no handler has read are discarded, so that the
// connection can be reused. It is the limit of net/http. For a body that is known to be longer,
// net/http reads nothing, answers and closes the connection.
const maxUnreadBody = 256 << 10

// closeDelay is how long the rest of a body is discarded on a connection that its caller wants
// closed. If it were closed at once, the caller's network could drop a response that is not read
// yet.
const closeDelay = 200 * time.Millisecond

// RespondBeforeBody returns a handler that writes each response before it waits for the rest of the
// request's body. net/http itself reads the body first. A caller that promises a body and never
// sends it would get its response only at readTimeout. A gateway with a shorter timeout would
// report an error. Over HTTP/2 a response never waits for a body.
func RespondBeforeBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A caller that expects 100 Continue sends its body only if it is asked to.
		isWaiting := r.ContentLength != 0 && r.ContentLength < maxUnreadBody && r.Header.Get("Expect") == ""
		if r.ProtoMajor != 1 || !isWaiting {
			next.ServeHTTP(w, r)
			return
		}
		out := http.NewResponseController(w)
		// An error means that the ResponseWriter cannot write before the body is read.
		if err := out.EnableFullDuplex(); err != nil {
			next.ServeHTTP(w, r)
			return
		}
		body := r.Body // a handler may replace it by a bounded one
		whole := &bufferedResponse{ResponseWriter: w}
		next.ServeHTTP(whole, r)
		if err := whole.send(); err != nil {
			panic(http.ErrAbortHandler)
		}
		if r.Close {
			latest := time.Now().Add(closeDelay) //nolint:forbidigo // network deadlines need the real clock
			_ = out.SetReadDeadline(latest)      //nolint:errcheck // the connection is closed in any case
		}
		// Bytes left on the wire must never be taken for the next request.
		_, err := io.CopyN(io.Discard, body, maxUnreadBody)
		if err != nil && !errors.Is(err, io.EOF) && !r.Close {
			panic(http.ErrAbortHandler)
		}
	})
}

// bufferedResponse buffers a response until it is complete, so that its Content-Length is known.
// Without it, the response would end only with the handler.
type bufferedResponse struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (a *bufferedResponse) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *bufferedResponse) Write(text []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(text)
}

// send writes the response to the network.
func (a *bufferedResponse) send() error {
	a.WriteHeader(http.StatusOK)
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified && a.Header().Get("Content-Length") == "" {
		a.Header().Set("Content-Length", strconv.Itoa(a.body.Len()))
	}
	a.ResponseWriter.WriteHeader(a.status)
	if _, err := a.ResponseWriter.Write(a.body.Bytes()); err != nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		return err
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}
