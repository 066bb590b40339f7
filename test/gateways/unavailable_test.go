package gateways_test

import (
	"net/http"
	"slices"
	"testing"
)

func TestGateways_RejectWhileEndpointsAreDown(t *testing.T) {
	eachGateway(t, func(p *fixture) {
		passes := func(when string, want int) {
			p.Helper()
			if got := p.send(callerRequest{header: p.bearerHeader("indexer"), path: "search/all"}); got.status != want {
				p.Errorf("%s: %d, want %d", when, got.status, want)
			}
		}
		passes("at first", http.StatusOK)
		p.stopEndpoints()
		passes("closed", p.downStatus)
		if got := p.send(callerRequest{header: http.Header{}}); got.status != p.downStatus {
			p.Errorf("closed, without a token: %d", got.status)
		}
		p.startEndpoints(p.handler, serviceName)
		passes("open again", http.StatusOK)

		p.stopEndpoints()
		p.startEndpoints(p.handler, "another.apptoken-system.svc")
		passes("another server answers", p.downStatus)

		p.stopEndpoints()
		p.ca = newTestCA(p.T)
		p.startEndpoints(p.handler, serviceName)
		passes("another CA signed for the name", p.downStatus)
	})
}

// statusHandler returns a handler that answers with a status, and without the headers that a
// gateway may expect.
func statusHandler(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// hangUpHandler ends the connection in place of an answer. It answers 500 on a connection that
// requests share, which one of them cannot end.
func hangUpHandler(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	conn.Close()
}

// silentHandler does not answer until the client gives up.
func silentHandler(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestGateways_RejectOnInvalidAnswers(t *testing.T) {
	eachGateway(t, func(p *fixture) {
		for name, x := range map[string]struct {
			answer  http.HandlerFunc
			refused []int
		}{
			"unavailable":  {statusHandler(http.StatusServiceUnavailable), []int{500, 503}},
			"broken":       {statusHandler(http.StatusInternalServerError), []int{500, 503}},
			"moved":        {statusHandler(http.StatusFound), []int{500, 503, 302}},
			"not found":    {statusHandler(http.StatusNotFound), []int{500, 503, 404}},
			"a bare 401":   {statusHandler(http.StatusUnauthorized), []int{401, 503}},
			"a bare 403":   {statusHandler(http.StatusForbidden), []int{403, 503}},
			"hanging up":   {hangUpHandler, []int{500, 502, 503}},
			"says nothing": {silentHandler, []int{p.timeoutStatus}},
		} {
			p.stopEndpoints()
			p.startEndpoints(x.answer, serviceName)
			if got := p.send(callerRequest{header: p.bearerHeader("indexer")}); !slices.Contains(x.refused, got.status) {
				p.Errorf("%s: %d", name, got.status)
			}
		}
	})
}
