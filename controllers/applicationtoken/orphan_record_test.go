package applicationtoken_test

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/internal/record"
)

// failingSecretCreation returns an API server that fails to create Secrets while *down is true, as
// with an admission webhook that is down.
func failingSecretCreation(down *bool) client.WithWatch {
	return interceptor.NewClient(api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.CreateOption) error {
			if _, ok := obj.(*corev1.Secret); ok && *down {
				return errInternal
			}
			return c.Create(ctx, obj, o...)
		},
	})
}

// Threats row 22: a token that pods hold is not ended in favour of the orphans of failed attempts.
func TestIssue_FailedAttemptsLeaveNoOrphans(t *testing.T) {
	w := newFixture(t)
	down := false
	c := failingSecretCreation(&down)
	o := w.newOperator(c, c)
	w.must(w.declareToken())
	w.must(o.settle())
	held := w.newestRecordName()

	down = true
	w.must(deleteSecret(w))
	for range 6 {
		w.now = w.now.Add(5 * time.Second)
		if err := o.pass(); err == nil {
			t.Fatal("a pass that could not write the Secret says that all is well")
		}
	}
	if n := w.recordsLeft(); n != 2 {
		t.Errorf("%d records are left, not the one that pods hold and the one on its way", n)
	}
	if _, err := w.store().Get(w.ctx, held); err != nil {
		t.Errorf("the version that pods hold: %v", err)
	}

	down = false
	w.must(o.settle())
	w.must(w.checkInvariants())
	if n := len(w.history.delivered); n != 1 {
		t.Errorf("the Secret has held %d tokens since it was deleted, not 1", n)
	}
	later := w.newestRecordName()
	r, err := w.store().Get(w.ctx, later)
	w.must(err)
	if !r.IssuedAt.Equal(w.now) {
		t.Errorf("the version counts its overlap from %s, not from its delivery at %s", r.IssuedAt, w.now)
	}
}

// Invariant 3: a token that was kept for another attempt is not used again once it was revoked.
func TestIssue_RevokedPendingTokenIsNotDelivered(t *testing.T) {
	w := newFixture(t)
	down := true
	c := failingSecretCreation(&down)
	o := w.newOperator(c, c)
	w.must(w.declareToken())
	if err := o.pass(); err == nil {
		t.Fatal("a pass that could not write the Secret says that all is well")
	}
	store := w.store()
	first, err := store.Get(w.ctx, w.newestRecordName())
	w.must(err)
	w.must(store.Retire(w.ctx, first))

	down = false
	w.must(o.settle())
	if _, err := store.Get(w.ctx, first.Name()); !errors.Is(err, record.ErrGone) {
		t.Errorf("the record that was revoked: %v, want it gone", err)
	}
	if w.newestRecordName() == first.Name() {
		t.Error("the token that was revoked is in the Secret")
	}
}
