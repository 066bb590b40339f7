package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

// successBurst is how many logins of one name may succeed in a row.
const successBurst = 60

// A user sends its correct password without end, only to have it checked. That flood is rate
// limited; other logins from the same address are not.
func TestLoginLimits_FloodOfAuthOnlyLeavesOthers(t *testing.T) {
	h := newLoginServer(t)
	statuses, mu := map[int]int{}, sync.Mutex{}
	var flood sync.WaitGroup
	for range 3 * successBurst {
		flood.Go(func() {
			got := h.call(http.MethodPost, "/auth/login", formBody(appendFields(credentialFields("alice"), "auth_only", "1")...))
			mu.Lock()
			defer mu.Unlock()
			statuses[got.status]++
			if got.status == http.StatusTooManyRequests && (got.header.Get("Retry-After") != "1" || !strings.Contains(got.body, `"success":false`)) {
				t.Errorf("%v %s", got.header, got.body)
			}
		})
	}
	for range 10 {
		if got := h.call(http.MethodPost, "/auth/login", formBody(credentialFields("dave")...)); got.status != http.StatusOK {
			t.Errorf("another user: %d %s", got.status, got.body)
		}
	}
	flood.Wait()
	if statuses[http.StatusOK] == 0 || statuses[http.StatusOK] > successBurst || statuses[http.StatusOK]+statuses[http.StatusTooManyRequests] != 3*successBurst {
		t.Errorf("the flood is answered by %v", statuses)
	}
	for name, x := range map[string]struct {
		method, path string
		parts        []requestOption
	}{
		"a login":          {http.MethodPost, "/auth/login", []requestOption{formBody(credentialFields("alice")...)}},
		"a grant":          {http.MethodPost, "/oauth2/token", []requestOption{formBody(passwordGrant("alice")...)}},
		"a form":           {http.MethodPost, formLogin, []requestOption{formBody(credentialFields("alice")...)}},
		"a session token":  {http.MethodGet, sessionPath + "5", []requestOption{basic("alice")}},
		"an open token":    {http.MethodGet, openPath + "5", []requestOption{basic("alice")}},
		"a list, by Basic": {http.MethodGet, ofAcme, []requestOption{basic("alice")}},
	} {
		for range 2 * successBurst { // the clock stands still
			if h.send(http.MethodPost, "/auth/login", formBody(appendFields(credentialFields("alice"), "auth_only", "1")...)).status == http.StatusTooManyRequests {
				break
			}
		}
		if got := h.send(x.method, x.path, x.parts...); got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
			t.Errorf("%s, after the flood: %d %s", name, got.status, got.body)
		}
	}
}
