package gateways_test

import (
	"net/http"
	"slices"
	"testing"
)

func TestNobodyPassesWhileTheDoorsAreShut(t *testing.T) {
	eachGateway(t, func(p *place) {
		passes := func(when string, want int) {
			p.Helper()
			if got := p.do(ask{header: p.bearing("indexer"), path: "search/all"}); got.status != want {
				p.Errorf("%s: %d, want %d", when, got.status, want)
			}
		}
		passes("at first", http.StatusOK)
		p.shutDoors()
		passes("shut", p.shut)
		if got := p.do(ask{header: http.Header{}}); got.status != p.shut {
			p.Errorf("shut, without a token: %d", got.status)
		}
		p.openDoors(p.handler, service)
		passes("open again", http.StatusOK)

		p.shutDoors()
		p.openDoors(p.handler, "somebody-else.apptoken-system.svc")
		passes("somebody else answers", p.shut)

		p.shutDoors()
		p.authority = newAuthority(p.T)
		p.openDoors(p.handler, service)
		passes("somebody else signed for the name", p.shut)
	})
}

// answers returns a handler that answers with a status, and without the headers that a gateway may
// expect.
func answers(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// hangUp ends the connection in place of an answer. It answers 500 on a connection that requests
// share, which one of them cannot end.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	conn.Close()
}

// sayNothing does not answer until the client gives up.
func sayNothing(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestNobodyPassesOnAnAnswerThatIsNone(t *testing.T) {
	eachGateway(t, func(p *place) {
		for name, x := range map[string]struct {
			answer  http.HandlerFunc
			refused []int
		}{
			"unavailable":  {answers(http.StatusServiceUnavailable), []int{500, 503}},
			"broken":       {answers(http.StatusInternalServerError), []int{500, 503}},
			"moved":        {answers(http.StatusFound), []int{500, 503, 302}},
			"not found":    {answers(http.StatusNotFound), []int{500, 503, 404}},
			"a bare 401":   {answers(http.StatusUnauthorized), []int{401, 503}},
			"a bare 403":   {answers(http.StatusForbidden), []int{403, 503}},
			"hanging up":   {hangUp, []int{500, 502, 503}},
			"says nothing": {sayNothing, []int{p.silent}},
		} {
			p.shutDoors()
			p.openDoors(x.answer, service)
			if got := p.do(ask{header: p.bearing("indexer")}); !slices.Contains(x.refused, got.status) {
				p.Errorf("%s: %d", name, got.status)
			}
		}
	})
}
