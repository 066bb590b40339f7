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
// connection can be used again. It is what net/http discards: of a body that is known to be longer,
// net/http reads nothing, answers and closes.
const maxUnreadBody = 256 << 10

// closeDelay is how long the rest of a body is discarded on a connection that its caller wants
// closed. To close it at once could make the caller's network drop an answer that is not read yet.
const closeDelay = 200 * time.Millisecond

// AnswersFirst writes each answer before it waits for what is left of the request's body. By itself
// net/http reads the body first: a caller that promises a body and never sends it would get its
// answer at the end of readTimeout, and a gateway that waits for less would report an error. Over
// HTTP/2 an answer never waits for a body.
func AnswersFirst(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A caller that expects 100 Continue sends its body only if it is asked to.
		isWaiting := r.ContentLength != 0 && r.ContentLength < maxUnreadBody && r.Header.Get("Expect") == ""
		if r.ProtoMajor != 1 || !isWaiting {
			next.ServeHTTP(w, r)
			return
		}
		out := http.NewResponseController(w)
		if err := out.EnableFullDuplex(); err != nil { // of a server that cannot write before it has read
			next.ServeHTTP(w, r)
			return
		}
		body := r.Body // a handler may put a bounded one in its place
		whole := &wholeAnswer{ResponseWriter: w}
		next.ServeHTTP(whole, r)
		if err := whole.send(); err != nil {
			panic(http.ErrAbortHandler)
		}
		if r.Close {
			latest := time.Now().Add(closeDelay) //nolint:forbidigo // deadlines of the network are of the real clock
			_ = out.SetReadDeadline(latest)      //nolint:errcheck // the connection is closed in any case
		}
		// What stays on the wire must never be taken for the next request.
		_, err := io.CopyN(io.Discard, body, maxUnreadBody)
		if err != nil && !errors.Is(err, io.EOF) && !r.Close {
			panic(http.ErrAbortHandler)
		}
	})
}

// wholeAnswer keeps an answer until it is complete, so that its length is known when it is sent:
// without its length, it would end only with the handler.
type wholeAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (a *wholeAnswer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *wholeAnswer) Write(text []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(text)
}

// send writes the answer to the network.
func (a *wholeAnswer) send() error {
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
