package e2e_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
)

func TestReplicas_AnswerAlike(t *testing.T) { // [3.7] [row 2]
	var all []*operator
	for range 3 {
		o := defaultOptions()
		o.LeaderElect = true
		all = append(all, startOperator(t, o))
	}
	w := newTenant(t, all[0])
	// everywhere waits until every replica, asked directly, answers with a status.
	everywhere := func(sentence, text string, status int) {
		t.Helper()
		for i, op := range all {
			asker := *w
			asker.op = op
			w.eventually(sentence, func(context.Context) bool { return asker.verifyToken(text, "", "192.0.2.1").status == status })
			if t.Failed() {
				t.Fatalf("at replica %d", i)
			}
		}
	}
	for round, op := range all {
		w.declareToken("indexer", `{roles: [primary]}`)
		w.waitReady("indexer")
		text := w.tokenText("indexer")
		for i, op := range all { // at the first request, whatever its watch has delivered
			asker := *w
			asker.op = op
			if got := asker.verifyToken(text, "", "192.0.2.1"); got.status != http.StatusOK {
				t.Errorf("round %d: replica %d answers %d about a token that was just issued", round, i, got.status)
			}
		}
		revoker := *w
		revoker.op = op
		if got := revoker.postForm("/oauth2/revoke", "", text); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		if got := revoker.verifyToken(text, "", "192.0.2.1"); got.status != http.StatusUnauthorized {
			t.Errorf("where it was revoked, the next answer is %d", got.status)
		}
		everywhere("what is revoked at one is refused on all", text, http.StatusUnauthorized)

		w.waitVersion("indexer", 2)
		text = w.tokenText("indexer")
		everywhere("the next version is good", text, http.StatusOK)
		w.editClient(`{state: Suspended}`)
		everywhere("the client is suspended", text, http.StatusUnauthorized)
		w.editClient(`{state: Active}`)
		everywhere("the client is active again", text, http.StatusOK)
		w.must(admin.Delete(t.Context(), &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "indexer"}}))
		everywhere("the token is deleted", text, http.StatusUnauthorized)
		w.waitGone("indexer")
	}
	if n := len(slices.DeleteFunc(slices.Clone(all), func(op *operator) bool { return !isLeader(op) })); n != 1 {
		t.Errorf("%d replicas are elected", n)
	}
}
