package applicationtoken_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

func TestRotate_RecordIssuedAheadIsReplaced(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Lifetime = "720h" }))
	o := w.NewOperator(api, api)
	w.Must(o.Settle())
	first := client.ObjectKey{Namespace: w.OwnNamespace, Name: w.NewestRecordName()}

	var r v1alpha1.TokenRecord
	w.Must(api.Get(w.Ctx, first, &r))
	issued := w.Now.AddDate(1, 0, 0)
	r.Spec.IssuedAt, r.Spec.ExpiresAt = metav1.NewTime(issued), new(metav1.NewTime(issued.Add(720*time.Hour)))
	w.Must(api.Update(w.Ctx, &r))
	w.Must(o.Settle())
	w.Must(w.CheckInvariants())

	w.Must(api.Get(w.Ctx, first, &r))
	if r.Spec.SupersededAt == nil || !r.Spec.ExpiresAt.Time.Equal(w.Now.Add(24*time.Hour)) {
		t.Errorf("the record that was issued ahead is superseded at %v and ends at %v", r.Spec.SupersededAt, r.Spec.ExpiresAt)
	}
	w.Must(api.Get(w.Ctx, client.ObjectKey{Namespace: w.OwnNamespace, Name: w.NewestRecordName()}, &r))
	if r.Name == first.Name || !r.Spec.IssuedAt.Time.Equal(w.Now) || !r.Spec.ExpiresAt.Time.Equal(w.Now.Add(720*time.Hour)) {
		t.Errorf("version %d is of %s and ends at %v", r.Spec.Version, r.Spec.IssuedAt, r.Spec.ExpiresAt)
	}
}
