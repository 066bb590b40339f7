package applicationtoken_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// A token that no response delivered is reported, but only after the time that a response takes.
func TestResponse_UndeliveredTokenIsReported(t *testing.T) {
	w := newFixture(t)
	at := &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: "by-hand"},
		Spec: v1alpha1.ApplicationTokenSpec{
			ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.ClientName)}, Delivery: v1alpha1.DeliveryResponse,
		},
	}
	w.Must(api.Create(w.Ctx, at))
	shown := management.Token{Namespace: w.OwnNamespace, Object: "by-hand"}
	w.Now = at.CreationTimestamp.Time
	o := w.NewOperator(api, api)
	w.Must(o.SettleOwnNamespace())
	if reason, _ := operatortest.Readiness(w.ManagedObject(shown)); reason != "" {
		t.Errorf("at once it is %s", reason)
	}
	w.Now = w.Now.Add(plan.DeliveryTimeout)
	w.Must(o.SettleOwnNamespace())
	if reason, _ := operatortest.Readiness(w.ManagedObject(shown)); reason != v1alpha1.ReasonDeliveryMissing || w.RecordsLeft() > 0 {
		t.Errorf("later it is %s, and there are %d records", reason, w.RecordsLeft())
	}
	for field, change := range map[string]func(*v1alpha1.Rotation){
		"every": func(r *v1alpha1.Rotation) { r.Every = "1h" }, "schedule": func(r *v1alpha1.Rotation) { r.Schedule = "@daily" },
		"trigger": func(r *v1alpha1.Rotation) { r.Trigger = "1" },
	} {
		now := w.ManagedObject(shown)
		now.Spec.Rotation = v1alpha1.Rotation{}
		change(&now.Spec.Rotation)
		w.Must(api.Update(w.Ctx, now))
		w.Must(o.SettleOwnNamespace())
		if reason, message := operatortest.Readiness(w.ManagedObject(shown)); reason != v1alpha1.ReasonInvalidSpec || !strings.Contains(message, "through the HTTP API") {
			t.Errorf("with %s it is %s: %s", field, reason, message)
		}
	}
}

// A tool that replaces the ApplicationToken removes the annotation that names its record.
func TestResponse_LostAnnotationIsRestored(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Lifetime = 0 }))
	w.Must(err)
	o := w.NewOperator(api, api)
	w.Must(o.SettleOwnNamespace())
	at := w.ManagedObject(made.Token)
	named := at.Annotations[v1alpha1.AnnotationRecord]
	delete(at.Annotations, v1alpha1.AnnotationRecord)
	w.Must(api.Update(w.Ctx, at))
	w.Now = w.Now.Add(2 * plan.OrphanAge)
	var obj v1alpha1.TokenRecord
	w.Must(api.Get(w.Ctx, types.NamespacedName{Namespace: w.OwnNamespace, Name: named}, &obj))
	_, err = o.Records.Reconcile(w.Ctx, &obj)
	w.Must(err)
	w.Must(o.SettleOwnNamespace())
	w.Must(w.CheckLastDelivered(made.Secret, 0))
	if at := w.ManagedObject(made.Token); at.Annotations[v1alpha1.AnnotationRecord] != named {
		t.Errorf("it names record %q, not %q", at.Annotations[v1alpha1.AnnotationRecord], named)
	}
}
