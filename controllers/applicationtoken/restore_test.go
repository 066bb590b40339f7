package applicationtoken_test

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// Threats row 23: restored objects arrive in the cache one by one, in any order.
func TestRestore_PredecessorObservedOnePassLaterIsKept(t *testing.T) {
	w := newFixture(t)
	late := &snapshot{kinds: 4}
	o := w.newOperator(late.over(api), api)
	w.must(w.declareToken())
	w.must(o.settle())
	predecessor := w.newestRecordName()
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	w.must(o.settle())

	var at v1alpha1.ApplicationToken
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Finalizers = nil }))
	w.must(api.Get(w.ctx, w.key(), &at))
	w.must(api.Delete(w.ctx, &at))
	at.ObjectMeta, at.Status = metav1.ObjectMeta{Namespace: w.namespace, Name: at.Name}, v1alpha1.ApplicationTokenStatus{}
	w.must(api.Create(w.ctx, &at))

	w.must(late.take(w))
	late.records = slices.DeleteFunc(late.records, func(r v1alpha1.TokenRecord) bool { return r.Name == predecessor })
	w.must(o.pass())
	late.taken = false
	w.must(o.settle())
	w.must(w.checkInvariants())

	var r v1alpha1.TokenRecord
	w.must(api.Get(w.ctx, client.ObjectKey{Namespace: w.ownNamespace, Name: predecessor}, &r))
	w.must(api.Get(w.ctx, w.key(), &at))
	if r.Spec.Owner.UID != at.UID || len(at.Status.Predecessors) != 1 || at.Status.Predecessors[0].Record != predecessor {
		t.Errorf("the predecessor belongs to %s, not to %s; the status has %v", r.Spec.Owner.UID, at.UID, at.Status.Predecessors)
	}
}
