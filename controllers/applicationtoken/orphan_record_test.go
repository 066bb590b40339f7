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
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// failingSecretCreation returns an API server that fails to create Secrets while *down is true, as
// with an admission webhook that is down.
func failingSecretCreation(down *bool) client.WithWatch {
	return interceptor.NewClient(api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.CreateOption) error {
			if _, ok := obj.(*corev1.Secret); ok && *down {
				return operatortest.ErrInternal
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
	o := w.NewOperator(c, c)
	w.Must(w.DeclareToken())
	w.Must(o.Settle())
	held := w.NewestRecordName()

	down = true
	w.Must(deleteSecret(w))
	for range 6 {
		w.Now = w.Now.Add(5 * time.Second)
		if err := o.Pass(); err == nil {
			t.Fatal("a pass that could not write the Secret reports success")
		}
	}
	if n := w.RecordsLeft(); n != 2 {
		t.Errorf("%d records are left, not the one that pods hold and the one on its way", n)
	}
	if _, err := w.Store().Get(w.Ctx, held); err != nil {
		t.Errorf("the version that pods hold: %v", err)
	}

	down = false
	w.Must(o.Settle())
	w.Must(w.CheckInvariants())
	if n := len(w.History.Delivered); n != 1 {
		t.Errorf("the Secret has held %d tokens since it was deleted, not 1", n)
	}
	later := w.NewestRecordName()
	r, err := w.Store().Get(w.Ctx, later)
	w.Must(err)
	if !r.IssuedAt.Equal(w.Now) {
		t.Errorf("the version counts its overlap from %s, not from its delivery at %s", r.IssuedAt, w.Now)
	}
}

// Invariant 3: a token that was kept for another attempt is not used again once it was revoked.
func TestIssue_RevokedPendingTokenIsNotDelivered(t *testing.T) {
	w := newFixture(t)
	down := true
	c := failingSecretCreation(&down)
	o := w.NewOperator(c, c)
	w.Must(w.DeclareToken())
	if err := o.Pass(); err == nil {
		t.Fatal("a pass that could not write the Secret reports success")
	}
	store := w.Store()
	first, err := store.Get(w.Ctx, w.NewestRecordName())
	w.Must(err)
	w.Must(store.Retire(w.Ctx, first))

	down = false
	w.Must(o.Settle())
	if _, err := store.Get(w.Ctx, first.Name()); !errors.Is(err, record.ErrGone) {
		t.Errorf("the record that was revoked: %v, want it gone", err)
	}
	if w.NewestRecordName() == first.Name() {
		t.Error("the token that was revoked is in the Secret")
	}
}
