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
	w.must(w.declareToken())
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Lifetime = "720h" }))
	o := w.newOperator(api, api)
	w.must(o.settle())
	first := client.ObjectKey{Namespace: w.ownNamespace, Name: w.newestRecordName()}

	var r v1alpha1.TokenRecord
	w.must(api.Get(w.ctx, first, &r))
	issued := w.now.AddDate(1, 0, 0)
	r.Spec.IssuedAt, r.Spec.ExpiresAt = metav1.NewTime(issued), new(metav1.NewTime(issued.Add(720*time.Hour)))
	w.must(api.Update(w.ctx, &r))
	w.must(o.settle())
	w.must(w.checkInvariants())

	w.must(api.Get(w.ctx, first, &r))
	if r.Spec.SupersededAt == nil || !r.Spec.ExpiresAt.Time.Equal(w.now.Add(24*time.Hour)) {
		t.Errorf("the record that was issued ahead is superseded at %v and ends at %v", r.Spec.SupersededAt, r.Spec.ExpiresAt)
	}
	w.must(api.Get(w.ctx, client.ObjectKey{Namespace: w.ownNamespace, Name: w.newestRecordName()}, &r))
	if r.Name == first.Name || !r.Spec.IssuedAt.Time.Equal(w.now) || !r.Spec.ExpiresAt.Time.Equal(w.now.Add(720*time.Hour)) {
		t.Errorf("version %d is of %s and ends at %v", r.Spec.Version, r.Spec.IssuedAt, r.Spec.ExpiresAt)
	}
}
