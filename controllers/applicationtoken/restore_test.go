package applicationtoken_test

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// Threats row 23: restored objects arrive in the cache one by one, in any order.
func TestRestore_PredecessorObservedOnePassLaterIsKept(t *testing.T) {
	w := newFixture(t)
	late := &operatortest.Snapshot{Kinds: 4}
	o := w.NewOperator(late.Over(api), api)
	w.Must(w.DeclareToken())
	w.Must(o.Settle())
	predecessor := w.NewestRecordName()
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	w.Must(o.Settle())

	var at v1alpha1.ApplicationToken
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Finalizers = nil }))
	w.Must(api.Get(w.Ctx, w.Key(), &at))
	w.Must(api.Delete(w.Ctx, &at))
	at.ObjectMeta, at.Status = metav1.ObjectMeta{Namespace: w.Namespace, Name: at.Name}, v1alpha1.ApplicationTokenStatus{}
	w.Must(api.Create(w.Ctx, &at))

	w.Must(late.Take(w.Fixture))
	late.Records = slices.DeleteFunc(late.Records, func(r v1alpha1.TokenRecord) bool { return r.Name == predecessor })
	w.Must(o.Pass())
	late.Taken = false
	w.Must(o.Settle())
	w.Must(w.CheckInvariants())

	var r v1alpha1.TokenRecord
	w.Must(api.Get(w.Ctx, client.ObjectKey{Namespace: w.OwnNamespace, Name: predecessor}, &r))
	w.Must(api.Get(w.Ctx, w.Key(), &at))
	if r.Spec.Owner.UID != at.UID || len(at.Status.Predecessors) != 1 || at.Status.Predecessors[0].Record != predecessor {
		t.Errorf("the predecessor belongs to %s, not to %s; the status has %v", r.Spec.Owner.UID, at.UID, at.Status.Predecessors)
	}
}
