package loginapi_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// successBurst is how many logins of one name may succeed in a row.
const successBurst = 60

// A user sends its correct password without end, only to have it checked. That flood is rate
// limited; other logins from the same address are not.
func TestLoginLimits_FloodOfAuthOnlyLeavesOthers(t *testing.T) {
	h := servertest.NewLoginServer(t)
	statuses, mu := map[int]int{}, sync.Mutex{}
	var flood sync.WaitGroup
	for range 3 * successBurst {
		flood.Go(func() {
			got := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.AppendFields(servertest.CredentialFields("alice"), "auth_only", "1")...))
			mu.Lock()
			defer mu.Unlock()
			statuses[got.Status]++
			if got.Status == http.StatusTooManyRequests && (got.Header.Get("Retry-After") != "1" || !strings.Contains(got.Body, `"success":false`)) {
				t.Errorf("%v %s", got.Header, got.Body)
			}
		})
	}
	for range 10 {
		if got := h.Call(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("dave")...)); got.Status != http.StatusOK {
			t.Errorf("another user: %d %s", got.Status, got.Body)
		}
	}
	flood.Wait()
	if statuses[http.StatusOK] == 0 || statuses[http.StatusOK] > successBurst || statuses[http.StatusOK]+statuses[http.StatusTooManyRequests] != 3*successBurst {
		t.Errorf("the flood is answered by %v", statuses)
	}
	for name, x := range map[string]struct {
		method, path string
		parts        []servertest.RequestOption
	}{
		"a login":          {http.MethodPost, "/auth/login", []servertest.RequestOption{servertest.FormBody(servertest.CredentialFields("alice")...)}},
		"a grant":          {http.MethodPost, "/oauth2/token", []servertest.RequestOption{servertest.FormBody(servertest.PasswordGrant("alice")...)}},
		"a form":           {http.MethodPost, servertest.PathFormLogin, []servertest.RequestOption{servertest.FormBody(servertest.CredentialFields("alice")...)}},
		"a session token":  {http.MethodGet, servertest.PathSessionToken + "5", []servertest.RequestOption{servertest.Basic("alice")}},
		"an open token":    {http.MethodGet, servertest.PathOpenToken + "5", []servertest.RequestOption{servertest.Basic("alice")}},
		"a list, by Basic": {http.MethodGet, servertest.PathAcmeTokens, []servertest.RequestOption{servertest.Basic("alice")}},
	} {
		for range 2 * successBurst { // the clock stands still
			if h.Send(http.MethodPost, "/auth/login", servertest.FormBody(servertest.AppendFields(servertest.CredentialFields("alice"), "auth_only", "1")...)).Status == http.StatusTooManyRequests {
				break
			}
		}
		if got := h.Send(x.method, x.path, x.parts...); got.Status != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s, after the flood: %d %s", name, got.Status, got.Body)
		}
	}
}
