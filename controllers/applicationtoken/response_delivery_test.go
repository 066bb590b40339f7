package applicationtoken_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/plan"
)

// A token that no response delivered is reported, but only after the time that a response takes.
func TestResponse_UndeliveredTokenIsReported(t *testing.T) {
	w := newFixture(t)
	at := &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ownNamespace, Name: "by-hand"},
		Spec: v1alpha1.ApplicationTokenSpec{
			ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.clientName)}, Delivery: v1alpha1.DeliveryResponse,
		},
	}
	w.must(api.Create(w.ctx, at))
	shown := management.Token{Namespace: w.ownNamespace, Object: "by-hand"}
	w.now = at.CreationTimestamp.Time
	o := w.newOperator(api, api)
	w.must(o.settleOwnNamespace())
	if reason, _ := readiness(w.managedObject(shown)); reason != "" {
		t.Errorf("at once it is %s", reason)
	}
	w.now = w.now.Add(plan.DeliveryTimeout)
	w.must(o.settleOwnNamespace())
	if reason, _ := readiness(w.managedObject(shown)); reason != v1alpha1.ReasonDeliveryMissing || w.recordsLeft() > 0 {
		t.Errorf("later it is %s, and there are %d records", reason, w.recordsLeft())
	}
	for field, change := range map[string]func(*v1alpha1.Rotation){
		"every": func(r *v1alpha1.Rotation) { r.Every = "1h" }, "schedule": func(r *v1alpha1.Rotation) { r.Schedule = "@daily" },
		"trigger": func(r *v1alpha1.Rotation) { r.Trigger = "1" },
	} {
		now := w.managedObject(shown)
		now.Spec.Rotation = v1alpha1.Rotation{}
		change(&now.Spec.Rotation)
		w.must(api.Update(w.ctx, now))
		w.must(o.settleOwnNamespace())
		if reason, message := readiness(w.managedObject(shown)); reason != v1alpha1.ReasonInvalidSpec || !strings.Contains(message, "through the HTTP API") {
			t.Errorf("with %s it is %s: %s", field, reason, message)
		}
	}
}

// A tool that replaces the ApplicationToken removes the annotation that names its record.
func TestResponse_LostAnnotationIsRestored(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Lifetime = 0 }))
	w.must(err)
	o := w.newOperator(api, api)
	w.must(o.settleOwnNamespace())
	at := w.managedObject(made.Token)
	named := at.Annotations[v1alpha1.AnnotationRecord]
	delete(at.Annotations, v1alpha1.AnnotationRecord)
	w.must(api.Update(w.ctx, at))
	w.now = w.now.Add(2 * plan.OrphanAge)
	var obj v1alpha1.TokenRecord
	w.must(api.Get(w.ctx, types.NamespacedName{Namespace: w.ownNamespace, Name: named}, &obj))
	_, err = o.records.Reconcile(w.ctx, &obj)
	w.must(err)
	w.must(o.settleOwnNamespace())
	w.must(w.checkLastDelivered(made.Secret, 0))
	if at := w.managedObject(made.Token); at.Annotations[v1alpha1.AnnotationRecord] != named {
		t.Errorf("it names record %q, not %q", at.Annotations[v1alpha1.AnnotationRecord], named)
	}
}
