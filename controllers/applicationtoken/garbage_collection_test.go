package applicationtoken_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// The tokenrecord reconciler leaves the records of logins alone.
func TestGarbageCollection_OfTokensLeavesLogins(t *testing.T) {
	w := newFixture(t)
	w.addAlice()
	w.logIn(w.newLoginService(nil), "alice", login.Terms{Kind: token.Login})
	w.must(api.Delete(w.ctx, w.getUser("alice")))
	w.now = w.now.Add(24 * time.Hour)
	w.must(w.newOperator(api, api).pass())
	if n := w.recordsLeft(); n != 1 {
		t.Error(fmt.Errorf("%d records are left", n))
	}
}

// Threats row 22: the Secret of another token shows nothing about the records of this one.
func TestGarbageCollection_KeepsRecordWhenNewSecretNameIsTaken(t *testing.T) {
	w := newFixture(t)
	o := w.newOperator(api, api)
	w.must(w.declareToken())
	w.must(o.settle())
	named := w.newestRecordName()

	other := &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "other"},
		Spec:       v1alpha1.ApplicationTokenSpec{ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.clientName)}, Secret: v1alpha1.SecretTemplate{Name: "taken"}},
	}
	w.must(api.Create(w.ctx, other))
	_, err := o.tokens.Reconcile(w.ctx, other)
	w.must(err)
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Secret.Name = "taken" }))
	w.must(o.settle())

	w.now = w.now.Add(2 * plan.OrphanAge)
	w.must(w.newOperator(api, api).settle())
	if _, err := w.store().Get(w.ctx, named); err != nil {
		t.Errorf("the record that its Secret names: %v", err)
	}
	if n := w.recordsLeft(); n != 2 {
		t.Errorf("%d records are left", n)
	}
}

func TestGarbageCollection_DeletesUndeliveredVersion(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Lifetime = 0 }))
	w.must(err)
	o := w.newOperator(api, api)
	w.must(o.settleOwnNamespace())
	orphan, err := w.store().Add(w.ctx, func() record.Record {
		r := w.newestRecord()
		tok, err := token.Mint(token.Application, k.Entropy)
		w.must(err)
		r.Digest, r.Version, r.Predecessor = tok.Digest(), 2, r.Name()
		return record.Record{Kind: r.Kind, Digest: r.Digest, Owner: r.Owner, Client: r.Client, Roles: r.Roles, IssuedAt: w.now, Version: 2, Predecessor: r.Predecessor}
	}())
	w.must(err)
	w.must(o.settleOwnNamespace())
	if n := w.recordsLeft(); n != 2 {
		t.Fatalf("what may be on its way is gone: %d records", n)
	}
	w.now = w.now.Add(2 * plan.OrphanAge)
	w.must(o.settleOwnNamespace())
	w.must(w.checkLastDelivered(made.Secret, 0))
	if _, err := w.store().Get(w.ctx, orphan.Name()); !errors.Is(err, record.ErrGone) {
		t.Errorf("[4] the orphan: %v", err)
	}
	at := w.managedObject(made.Token)
	at.Finalizers = nil
	w.must(api.Update(w.ctx, at))
	w.must(api.Delete(w.ctx, at))
	w.must(o.settleOwnNamespace())
	if n := w.recordsLeft(); n != 0 {
		t.Errorf("without an owner %d records are left", n)
	}
}
