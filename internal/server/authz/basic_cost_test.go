package authz_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// discard is a ResponseWriter whose header is used again.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// verifyRequest returns a function that asks /verify, and returns the status of the response.
func verifyRequest(h *servertest.VectorServer, authorization string) (ask func() int) {
	handler := h.Handler()
	r := httptest.NewRequest(http.MethodGet, "/verify?permission=search.query", nil)
	r.Header.Set("Authorization", authorization)
	r.RemoteAddr = "192.0.2.7:1"
	w := &discard{header: http.Header{}}
	return func() int {
		clear(w.header)
		handler.ServeHTTP(w, r)
		return w.status
	}
}

// Basic costs the decoding of its text and the parts of it: no more than a few allocations, and no
// hash of a password.
func TestBasic_CostsFewAllocations(t *testing.T) {
	h := servertest.NewVectorServer(t)
	measure := func(authorization string) float64 {
		ask := verifyRequest(h, authorization)
		if status := ask(); status != http.StatusOK {
			t.Fatalf("%d", status)
		}
		return testing.AllocsPerRun(500, func() { ask() })
	}
	bearer := measure("Bearer " + h.Tokens["indexer"])
	for name, x := range map[string]struct {
		authorization string
		more          float64
	}{
		"a token":    {"Basic " + servertest.BasicCredentials("acme", h.Tokens["indexer"]), 2},
		"a password": {"Basic " + servertest.BasicCredentials("alice@example.com", "alice: a password"), 4},
	} {
		if n := measure(x.authorization); n > bearer+x.more {
			t.Errorf("%s: %v allocations, where Bearer has %v", name, n, bearer)
		}
	}
}
