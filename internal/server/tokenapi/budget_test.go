package tokenapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestManage_BudgetPerCaller(t *testing.T) {
	h := servertest.NewLoginServer(t)
	h.Endpoints.Budget = endpoint.NewBudget(endpoint.BudgetOptions{PerCaller: 2, PerClient: 3})
	weak := h.CreateToken(management.Scope{Client: "acme", User: "dave"}, management.TokenSpec{Name: "one"})
	other := h.CreateToken(management.Scope{Client: "acme", User: "dave"}, management.TokenSpec{Name: "other"})
	statuses := map[int]int{}
	for i := range 20 {
		by := []string{weak, other, h.Login("dave")}[i%3] // one user, with several credentials
		got := h.Call(http.MethodGet, servertest.PathUserTokens+"/none", servertest.Bearer(by))
		if statuses[got.Status]++; got.Status == 429 && (got.Header.Get("Retry-After") != "1" || h.Members(got)["error"] != "too_many_requests") {
			t.Errorf("%v %s", got.Header, got.Body)
		}
	}
	if statuses[404] != 8 || statuses[429] != 12 {
		t.Errorf("a user with three credentials: %v", statuses)
	}
	alice := h.Login("alice")
	if got := h.Call(http.MethodGet, servertest.PathUserTokens, servertest.Bearer(alice)); got.Status != 200 {
		t.Errorf("another caller of the client: %d", got.Status)
	}
	for range 20 {
		h.Call(http.MethodGet, servertest.PathUserTokens, servertest.Bearer(alice))
	}
	if got := h.Call(http.MethodGet, servertest.PathUserTokens, servertest.Bearer(h.Login("alice"))); got.Status != 429 {
		t.Errorf("the client's budget is used up: %d", got.Status)
	}
	if got := h.Call(http.MethodGet, servertest.PathUmbrellaTokens, servertest.Basic("erin")); got.Status != 200 {
		t.Errorf("another client: %d", got.Status)
	}
	h.Clock.Advance(time.Second)
	if got := h.Call(http.MethodGet, servertest.PathUserTokens+"/none", servertest.Bearer(weak)); got.Status != 404 {
		t.Errorf("a second later: %d", got.Status)
	}
	h.CheckNoSecretInAudit()
}
