package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
)

// A program holds one session token for each web session of its own users, under one technical
// user. Its session tokens end neither its login nor its open token, on whichever replica it asks.
func TestLogin_UserLimitsEachKindAcrossReplicas(t *testing.T) { // [row 21]
	const most, callers, each = 6, 6, 4
	all := startThreeReplicas(t)
	w := newTenant(t, all[0])
	p := w.newUser("portal")
	setLimit := func(most int) {
		t.Helper()
		p.editUser(fmt.Sprintf(`{logins: {maxSessionTokens: %d}}`, most))
		for _, op := range all {
			w.eventually("the user's limit is known", func(context.Context) bool {
				u, ok := op.Directory.User(p.user)
				return ok && u.MaxSessionTokens == most
			})
		}
	}
	count := func(ctx context.Context) (n [3]int) {
		for _, r := range p.loginRecords(ctx) {
			n[map[v1alpha1.RecordKind]int{v1alpha1.RecordKindLogin: 0, v1alpha1.RecordKindSession: 1, v1alpha1.RecordKindOpen: 2}[r.Spec.Kind]]++
		}
		return n
	}
	wantCounts := func(sentence string, want [3]int) {
		t.Helper()
		w.eventuallyWithin(2*time.Minute, sentence, func(ctx context.Context) bool { return count(ctx) == want })
	}
	for _, op := range all {
		p.atReplica(op).waitKnown()
	}
	setLimit(most)
	login := p.logIn()
	open := p.mustRequest(http.MethodGet, "/security/rest/token/access/60", p.basicAuth(), nil)
	var opened sync.WaitGroup
	for i := range callers {
		opened.Go(func() {
			at := p.atReplica(all[i%len(all)])
			for range each {
				got, err := p.retryLimited(func() (loginResponse, error) {
					return at.doRequest(t.Context(), http.MethodGet, "/security/rest/token/access/session/0", p.basicAuth(), nil)
				})
				if err != nil || got.status != http.StatusOK {
					t.Errorf("%v %d %s", err, got.status, got.body)
				}
			}
		})
	}
	opened.Wait()
	wantCounts("there are as many session tokens as there may be", [3]int{1, most, 1})
	setLimit(2)
	wantCounts("a lower limit applies", [3]int{1, 2, 1})
	setLimit(most)
	last := p.mustRequest(http.MethodGet, "/security/rest/token/access/session/0", p.basicAuth(), nil)
	wantCounts("a higher limit brings none back", [3]int{1, 3, 1})
	for i, op := range all {
		at := p.atReplica(op)
		w.eventually("the session token is known", func(context.Context) bool { return at.sessionStatus(last) == http.StatusOK })
		for what, text := range map[string]string{"login": login.Token, "open token": open.AccessToken} {
			if got := at.verifyToken(text, "", "192.0.2.1").status; got != http.StatusOK {
				t.Errorf("the %s at replica %d: %d", what, i, got)
			}
		}
	}
}
