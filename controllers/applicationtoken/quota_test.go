package applicationtoken_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/tokenspec"
)

// The reconciling replica decides about tokens that independent replicas created at once. A restart
// of it decides the same.
func TestQuota_ReconcilerEnforcesItAcrossReplicas(t *testing.T) {
	w := newFixture(t)
	w.SetPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(5))})
	made, _ := w.CreateConcurrently(24, []*operatortest.ManagementReplica{w.NewManagementReplica(api), w.NewManagementReplica(api), w.NewManagementReplica(api)})
	if len(made) != 15 {
		t.Fatalf("%d were made by three replicas, each of which knows of five", len(made))
	}
	var valid []bool
	for range 2 { // the second leader has just started
		leader := w.NewOperator(api, api)
		w.ReplayTokens(leader)
		w.Must(leader.SettleOwnNamespace())
		now := make([]bool, len(made))
		for i, one := range made {
			now[i] = w.IsAccepted(one.Secret)
		}
		if n := w.CountAccepted(made); n != 5 || valid != nil && !slices.Equal(valid, now) {
			t.Errorf("%d are valid: %v, before: %v", n, now, valid)
		}
		valid = now
	}
	for i, one := range made {
		at := w.ManagedObject(one.Token)
		if reason, _ := operatortest.Readiness(at); (reason == v1alpha1.ReasonTooManyTokens) == valid[i] {
			t.Errorf("%s is %s, and valid: %t", at.Name, reason, valid[i])
		}
	}

	// A delivered token stays when the limit is lowered. A waiting token is served when there is
	// quota.
	w.SetPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(1))})
	w.SettleWithNewLeader()
	if n := w.CountAccepted(made); n != 5 {
		t.Errorf("%d are valid where the limit was lowered", n)
	}
	w.SetPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(6))})
	w.SettleWithNewLeader()
	if n := w.CountAccepted(made); n != 6 {
		t.Errorf("%d are valid where the limit was raised to six", n)
	}
}

// A token that moves to a client without quota for it is refused there, and its quota at the former
// client is free.
func TestQuota_MovedTokenNeedsQuotaAtNewClient(t *testing.T) {
	w := newFixture(t)
	other := w.OtherClient()
	w.Must(w.grantWithoutQuota(other))
	op := w.NewOperator(api, api)
	w.Must(w.DeclareToken())
	w.Must(op.Settle())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.ClientRef.Name = v1alpha1.ObjectName(other) }))
	w.Must(op.Settle())
	if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonTooManyTokens || !w.NewestRecord().Suspended {
		t.Errorf("%s, and its record: %+v", reason, w.NewestRecord())
	}
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.ClientRef.Name = v1alpha1.ObjectName(w.ClientName) }))
	w.Must(op.Settle())
	if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonIssued || w.NewestRecord().Suspended {
		t.Errorf("back at its client: %s, and its record: %+v", reason, w.NewestRecord())
	}
}

// grantWithoutQuota lets a client grant its role to the fixture's namespace, with quota for no
// token.
func (w *fixture) grantWithoutQuota(name string) error {
	var c v1alpha1.Client
	if err := api.Get(w.Ctx, types.NamespacedName{Name: name}, &c); err != nil {
		return err
	}
	c.Spec.Grants = []v1alpha1.Grant{{Namespaces: v1alpha1.NamespaceSelection{Names: []string{w.Namespace}}, Roles: []v1alpha1.RoleName{"primary"}}}
	c.Spec.Tokens.MaxCount = new(int32(0))
	return api.Update(w.Ctx, &c)
}

func TestQuota_DefaultsBoundEveryClient(t *testing.T) {
	w := newFixture(t)
	var c v1alpha1.Client
	w.Must(api.Get(w.Ctx, types.NamespacedName{Name: w.ClientName}, &c))
	if l, err := (tokenspec.Resolver{}).QuotaLimits(w.Ctx, &c); err != nil || l.Client != 10_000 || l.User != 100 || l.Namespaces != nil {
		t.Errorf("%+v", l)
	}
	c.Spec.Grants = append(c.Spec.Grants, c.Spec.Grants[0], c.Spec.Grants[0], v1alpha1.Grant{Namespaces: v1alpha1.NamespaceSelection{Names: []string{"blog"}}})
	c.Spec.Grants[1].MaxCount, c.Spec.Grants[2].MaxCount = new(int32(2)), new(int32(7))
	if l, err := (tokenspec.Resolver{}).QuotaLimits(w.Ctx, &c, w.Namespace, "blog"); err != nil || l.Namespaces[w.Namespace] != 7 || l.Namespaces["blog"] < 1<<31 {
		t.Errorf("the largest limit counts, and one without has none: %+v", l)
	}
}
