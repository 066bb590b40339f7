package oauth_test

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/testing/servertest"
)

// A tenant holds many tokens. A token that ends itself takes from the budget of its client too.
func TestRevoke_BudgetPerClient(t *testing.T) {
	h := servertest.NewLoginServer(t)
	h.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 10, PerClient: 1})
	statuses := map[int]int{}
	for i := range 6 {
		tok := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "expired-" + strconv.Itoa(i), Lifetime: time.Second})
		h.Clock.Advance(time.Second)
		statuses[h.Call(http.MethodPost, "/oauth2/revoke", servertest.FormBody("token", tok)).Status]++
		h.Clock.Advance(-time.Second)
	}
	if statuses[200] != 4 || statuses[429] != 2 {
		t.Errorf("%v, want four seconds' worth", statuses)
	}
}

func TestBudget_CoversRevocationAndIntrospection(t *testing.T) {
	h := servertest.NewLoginServer(t)
	h.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1})
	revoker := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "revoker", Roles: []string{"revoker"}})
	expired := h.CreateToken(management.Scope{Client: "acme"}, management.TokenSpec{Name: "expired", Lifetime: time.Second})
	h.Clock.Advance(time.Minute)
	for name, parts := range map[string][]servertest.RequestOption{
		"a revocation of what is unknown": {servertest.Bearer(revoker), servertest.FormBody("token", h.UnknownToken())},
		"of itself, after its end":        {servertest.FormBody("token", expired)},
	} {
		last := 0
		for range 5 {
			last = h.Call(http.MethodPost, "/oauth2/revoke", parts...).Status
		}
		if last != 429 {
			t.Errorf("%s: %d", name, last)
		}
	}
	hs := servertest.NewVectorServer(t)
	hs.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 1})
	statuses := map[int]int{}
	for range 6 {
		statuses[hs.Post("/oauth2/introspect", "introspector", url.Values{"token": {h.UnknownToken()}}).Status]++
		statuses[hs.Post("/oauth2/introspect", "introspector", url.Values{"token": {hs.Tokens["introspector"]}}).Status]++ // decided from memory
	}
	if statuses[429] != 2 || statuses[200] != 10 {
		t.Errorf("introspections: %v", statuses)
	}
}
