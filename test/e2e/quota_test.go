package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers"
	"github.com/apptoken/operator/internal/desk"
)

// replica returns the management service of another replica, with a quota index of its own.
func (w *tenant) replica() *controllers.Desk {
	w.Helper()
	k := w.counter()
	k.Quota = controllers.NewQuota(system)
	informer, err := w.op.Manager.GetCache().GetInformer(w.Context(), &v1alpha1.ApplicationToken{})
	w.must(err)
	fed, err := informer.AddEventHandler(k.Quota.Feed())
	w.must(err)
	w.eventually("the replica has counted the tokens", func(context.Context) bool { return fed.HasSynced() })
	w.Cleanup(func() { w.must(informer.RemoveEventHandler(fed)) })
	return k
}

func TestQuota_ReplicasTogetherStayWithinMaxCount(t *testing.T) { // [row 14]
	w := aTenant(t)
	w.editClient(`{tokens: {maxCount: 5}}`)
	replicas := []*controllers.Desk{w.replica(), w.replica(), w.replica()}
	var mu sync.Mutex
	var made []desk.Issued
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			one, err := replicas[i%3].Create(t.Context(), root, desk.Scope{Client: w.name}, desk.Wanted{Name: fmt.Sprintf("ci-%02d", i), Lifetime: time.Hour})
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				made = append(made, one)
			}
		})
	}
	all.Wait()
	settled := func(want int) func(context.Context) bool {
		return func(ctx context.Context) bool {
			valid, evaluated := 0, 0
			for _, one := range made {
				var at v1alpha1.ApplicationToken
				if admin.Get(ctx, keyOf(one.Token), &at) == nil && at.Status.ObservedGeneration > 0 {
					evaluated++
				}
				if w.accepted(one.Secret.Digest()) {
					valid++
				}
			}
			return valid == want && evaluated == len(made)
		}
	}
	w.eventually(fmt.Sprintf("five of the %d that were made are accepted", len(made)), settled(5))
	if len(made) == 5 {
		return
	}
	w.editClient(`{tokens: {maxCount: 6}}`)
	w.eventually("one more is accepted", settled(6))
}

func TestQuota_NamespaceCannotTakeAllPlaces(t *testing.T) {
	w := aTenant(t)
	w.editClient(`{tokens: {maxCount: 4}, grants: [
		{namespaces: {names: [` + w.name + `]}, roles: [primary], maxCount: 2},
		{namespaces: {names: [` + w.name + `]}, roles: [primary], maxCount: 1},
		{namespaces: {selector: {matchLabels: {quota: ` + w.name + `}}}, roles: [primary], maxCount: 3}]}`)
	for n := range 5 {
		w.declare(fmt.Sprintf("a-%d", n), `{}`)
	}
	for n := range 2 {
		w.ready(fmt.Sprintf("a-%d", n))
	}
	for n := 2; n < 5; n++ {
		at := w.refused(fmt.Sprintf("a-%d", n), v1alpha1.ReasonTooManyTokens)
		if at.Status.Current != nil || condition(at, v1alpha1.ConditionWithheld).Status != metav1.ConditionTrue {
			t.Errorf("refused, with %+v", at.Status)
		}
	}
	neighbour := tenantOf(t, w.op)
	w.must(admin.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: neighbour.name}}, merge(t, "metadata", `{labels: {quota: `+w.name+`}}`)))
	neighbour.declare("b", `{clientRef: {name: `+w.name+`}}`)
	neighbour.ready("b")

	// The oldest waiting token of the namespace gets the last of the client's quota. The next one
	// waits until a token is deleted.
	w.editClient(`{grants: [{namespaces: {names: [` + w.name + `]}, roles: [primary], maxCount: 3},
		{namespaces: {selector: {matchLabels: {quota: ` + w.name + `}}}, roles: [primary], maxCount: 3}]}`)
	w.ready("a-2")
	w.refused("a-3", v1alpha1.ReasonTooManyTokens)
	w.must(admin.Delete(t.Context(), &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "a-0"}}))
	w.ready("a-3")
	w.refused("a-4", v1alpha1.ReasonTooManyTokens)
}

func TestQuota_DeletionWakesOneToken(t *testing.T) {
	w := aTenant(t)
	w.editClient(`{tokens: {maxCount: 1}}`)
	w.declare("a", `{}`)
	w.ready("a")
	for n := range 8 {
		w.declare(fmt.Sprintf("w-%d", n), `{}`)
		w.refused(fmt.Sprintf("w-%d", n), v1alpha1.ReasonTooManyTokens)
	}
	versions := func() map[string]string {
		var list v1alpha1.ApplicationTokenList
		w.must(admin.List(t.Context(), &list, client.InNamespace(w.name)))
		all := map[string]string{}
		for i := range list.Items {
			all[list.Items[i].Name] = list.Items[i].ResourceVersion
		}
		return all
	}
	before := versions()
	w.must(admin.Delete(t.Context(), &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "a"}}))
	w.ready("w-0")
	for name, version := range versions() {
		if name != "w-0" && before[name] != version {
			t.Errorf("%s was written, though no place came free for it", name)
		}
	}
}
