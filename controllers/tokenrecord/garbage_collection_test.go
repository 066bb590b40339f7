package tokenrecord_test

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
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

// The tokenrecord reconciler leaves the records of logins alone.
func TestGarbageCollection_OfTokensLeavesLogins(t *testing.T) {
	w := operatortest.New(t, api)
	w.AddAlice()
	w.LogIn(w.NewLoginService(nil), "alice", login.Terms{Kind: token.Login})
	w.Must(api.Delete(w.Ctx, w.GetUser("alice")))
	w.Now = w.Now.Add(24 * time.Hour)
	w.Must(w.NewOperator(api, api).Pass())
	if n := w.RecordsLeft(); n != 1 {
		t.Error(fmt.Errorf("%d records are left", n))
	}
}

// Threats row 22: the Secret of another token shows nothing about the records of this one.
func TestGarbageCollection_KeepsRecordWhenNewSecretNameIsTaken(t *testing.T) {
	w := operatortest.New(t, api)
	o := w.NewOperator(api, api)
	w.Must(w.DeclareToken())
	w.Must(o.Settle())
	named := w.NewestRecordName()

	other := &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "other"},
		Spec:       v1alpha1.ApplicationTokenSpec{ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.ClientName)}, Secret: v1alpha1.SecretTemplate{Name: "taken"}},
	}
	w.Must(api.Create(w.Ctx, other))
	_, err := o.Tokens.Reconcile(w.Ctx, other)
	w.Must(err)
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Secret.Name = "taken" }))
	w.Must(o.Settle())

	w.Now = w.Now.Add(2 * plan.OrphanAge)
	w.Must(w.NewOperator(api, api).Settle())
	if _, err := w.Store().Get(w.Ctx, named); err != nil {
		t.Errorf("the record that its Secret names: %v", err)
	}
	if n := w.RecordsLeft(); n != 2 {
		t.Errorf("%d records are left", n)
	}
}

func TestGarbageCollection_DeletesPendingVersion(t *testing.T) {
	w := operatortest.New(t, api)
	k := w.NewManagementReplica(api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Lifetime = 0 }))
	w.Must(err)
	o := w.NewOperator(api, api)
	w.Must(o.SettleOwnNamespace())
	orphan, err := w.Store().Add(w.Ctx, func() record.Record {
		r := w.NewestRecord()
		tok, err := token.Mint(token.Application, k.Entropy)
		w.Must(err)
		r.Digest, r.Version, r.Predecessor = tok.Digest(), 2, r.Name()
		return record.Record{Kind: r.Kind, Digest: r.Digest, Owner: r.Owner, Client: r.Client, Roles: r.Roles, IssuedAt: w.Now, Version: 2, Predecessor: r.Predecessor}
	}())
	w.Must(err)
	w.Must(o.SettleOwnNamespace())
	if n := w.RecordsLeft(); n != 2 {
		t.Fatalf("what may be on its way is gone: %d records", n)
	}
	w.Now = w.Now.Add(2 * plan.OrphanAge)
	w.Must(o.SettleOwnNamespace())
	w.Must(w.CheckLastDelivered(made.Secret, 0))
	if _, err := w.Store().Get(w.Ctx, orphan.Name()); !errors.Is(err, record.ErrGone) {
		t.Errorf("[4] the orphan: %v", err)
	}
	at := w.ManagedObject(made.Token)
	at.Finalizers = nil
	w.Must(api.Update(w.Ctx, at))
	w.Must(api.Delete(w.Ctx, at))
	w.Must(o.SettleOwnNamespace())
	if n := w.RecordsLeft(); n != 0 {
		t.Errorf("without an owner %d records are left", n)
	}
}
