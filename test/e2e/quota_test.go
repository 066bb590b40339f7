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
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/management"
)

// newReplica returns the management service of another replica, with a quota index of its own.
func (w *tenant) newReplica() *management.Service {
	w.Helper()
	k := w.managementService()
	k.Quota = directory.NewQuota(systemNamespace)
	informer, err := w.op.Manager.GetCache().GetInformer(w.Context(), &v1alpha1.ApplicationToken{})
	w.must(err)
	fed, err := informer.AddEventHandler(k.Quota.EventHandler())
	w.must(err)
	w.eventually("the replica has counted the tokens", func(context.Context) bool { return fed.HasSynced() })
	w.Cleanup(func() { w.must(informer.RemoveEventHandler(fed)) })
	return k
}

func TestQuota_ReplicasTogetherStayWithinMaxCount(t *testing.T) { // [row 14]
	w := newSharedTenant(t)
	w.editClient(`{tokens: {maxCount: 5}}`)
	replicas := []*management.Service{w.newReplica(), w.newReplica(), w.newReplica()}
	var mu sync.Mutex
	var made []management.Issued
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			one, err := replicas[i%3].Create(t.Context(), rootCaller, management.Scope{Client: w.name}, management.TokenSpec{Name: fmt.Sprintf("ci-%02d", i), Lifetime: time.Hour})
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
				if admin.Get(ctx, objectKeyOf(one.Token), &at) == nil && at.Status.ObservedGeneration > 0 {
					evaluated++
				}
				if w.isAccepted(one.Secret.Digest()) {
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

func TestQuota_NamespaceCannotUseAll(t *testing.T) {
	w := newSharedTenant(t)
	w.editClient(`{tokens: {maxCount: 4}, grants: [
		{namespaces: {names: [` + w.name + `]}, roles: [primary], maxCount: 2},
		{namespaces: {names: [` + w.name + `]}, roles: [primary], maxCount: 1},
		{namespaces: {selector: {matchLabels: {quota: ` + w.name + `}}}, roles: [primary], maxCount: 3}]}`)
	for n := range 5 {
		w.declareToken(fmt.Sprintf("a-%d", n), `{}`)
	}
	for n := range 2 {
		w.waitReady(fmt.Sprintf("a-%d", n))
	}
	for n := 2; n < 5; n++ {
		at := w.waitRefused(fmt.Sprintf("a-%d", n), v1alpha1.ReasonTooManyTokens)
		if at.Status.Current != nil || conditionOf(at, v1alpha1.ConditionWithheld).Status != metav1.ConditionTrue {
			t.Errorf("refused, with %+v", at.Status)
		}
	}
	neighbour := newTenant(t, w.op)
	w.must(admin.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: neighbour.name}}, mergePatch(t, "metadata", `{labels: {quota: `+w.name+`}}`)))
	neighbour.declareToken("b", `{clientRef: {name: `+w.name+`}}`)
	neighbour.waitReady("b")

	// The oldest waiting token of the namespace gets the last of the client's quota. The next one
	// waits until a token is deleted.
	w.editClient(`{grants: [{namespaces: {names: [` + w.name + `]}, roles: [primary], maxCount: 3},
		{namespaces: {selector: {matchLabels: {quota: ` + w.name + `}}}, roles: [primary], maxCount: 3}]}`)
	w.waitReady("a-2")
	w.waitRefused("a-3", v1alpha1.ReasonTooManyTokens)
	w.must(admin.Delete(t.Context(), &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "a-0"}}))
	w.waitReady("a-3")
	w.waitRefused("a-4", v1alpha1.ReasonTooManyTokens)
}

func TestQuota_DeletionWakesOneToken(t *testing.T) {
	w := newSharedTenant(t)
	w.editClient(`{tokens: {maxCount: 1}}`)
	w.declareToken("a", `{}`)
	w.waitReady("a")
	for n := range 8 {
		w.declareToken(fmt.Sprintf("w-%d", n), `{}`)
		w.waitRefused(fmt.Sprintf("w-%d", n), v1alpha1.ReasonTooManyTokens)
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
	w.waitReady("w-0")
	for name, version := range versions() {
		if name != "w-0" && before[name] != version {
			t.Errorf("%s was written, though no place came free for it", name)
		}
	}
}
