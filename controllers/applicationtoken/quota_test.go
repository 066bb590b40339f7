package applicationtoken_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/tokenspec"
)

// The reconciling replica decides about tokens that independent replicas created at once. A restart
// of it decides the same.
func TestQuota_ReconcilerEnforcesItAcrossReplicas(t *testing.T) {
	w := newFixture(t)
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(5))})
	made, _ := w.createConcurrently(24, []*managementReplica{w.newManagementReplica(api), w.newManagementReplica(api), w.newManagementReplica(api)})
	if len(made) != 15 {
		t.Fatalf("%d were made by three replicas, each of which knows of five", len(made))
	}
	var valid []bool
	for range 2 { // the second leader has just started
		leader := w.newOperator(api, api)
		w.replayTokens(leader)
		w.must(leader.settleOwnNamespace())
		now := make([]bool, len(made))
		for i, one := range made {
			now[i] = w.isAccepted(one.Secret)
		}
		if n := w.countAccepted(made); n != 5 || valid != nil && !slices.Equal(valid, now) {
			t.Errorf("%d are valid: %v, before: %v", n, now, valid)
		}
		valid = now
	}
	for i, one := range made {
		at := w.managedObject(one.Token)
		if reason, _ := readiness(at); (reason == v1alpha1.ReasonTooManyTokens) == valid[i] {
			t.Errorf("%s is %s, and valid: %t", at.Name, reason, valid[i])
		}
	}

	// A delivered token stays when the limit is lowered. A waiting token is served when there is
	// quota.
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(1))})
	w.settleWithNewLeader()
	if n := w.countAccepted(made); n != 5 {
		t.Errorf("%d are valid where the limit was lowered", n)
	}
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(6))})
	w.settleWithNewLeader()
	if n := w.countAccepted(made); n != 6 {
		t.Errorf("%d are valid where the limit was raised to six", n)
	}
}

// A token that moves to a client without quota for it is refused there, and its quota at the former
// client is free.
func TestQuota_MovedTokenNeedsQuotaAtNewClient(t *testing.T) {
	w := newFixture(t)
	other := w.otherClient()
	w.must(w.grantWithoutQuota(other))
	op := w.newOperator(api, api)
	w.must(w.declareToken())
	w.must(op.settle())
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.ClientRef.Name = v1alpha1.ObjectName(other) }))
	w.must(op.settle())
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonTooManyTokens || !w.newestRecord().Suspended {
		t.Errorf("%s, and its record: %+v", reason, w.newestRecord())
	}
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.ClientRef.Name = v1alpha1.ObjectName(w.clientName) }))
	w.must(op.settle())
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonIssued || w.newestRecord().Suspended {
		t.Errorf("back at its client: %s, and its record: %+v", reason, w.newestRecord())
	}
}

// grantWithoutQuota lets a client grant its role to the fixture's namespace, with quota for no
// token.
func (w *fixture) grantWithoutQuota(name string) error {
	var c v1alpha1.Client
	if err := api.Get(w.ctx, types.NamespacedName{Name: name}, &c); err != nil {
		return err
	}
	c.Spec.Grants = []v1alpha1.Grant{{Namespaces: v1alpha1.NamespaceSelection{Names: []string{w.namespace}}, Roles: []v1alpha1.RoleName{"primary"}}}
	c.Spec.Tokens.MaxCount = new(int32(0))
	return api.Update(w.ctx, &c)
}

func TestQuota_DefaultsBoundEveryClient(t *testing.T) {
	w := newFixture(t)
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.clientName}, &c))
	if l, err := (tokenspec.Resolver{}).QuotaLimits(w.ctx, &c); err != nil || l.Client != 10_000 || l.User != 100 || l.Namespaces != nil {
		t.Errorf("%+v", l)
	}
	c.Spec.Grants = append(c.Spec.Grants, c.Spec.Grants[0], c.Spec.Grants[0], v1alpha1.Grant{Namespaces: v1alpha1.NamespaceSelection{Names: []string{"blog"}}})
	c.Spec.Grants[1].MaxCount, c.Spec.Grants[2].MaxCount = new(int32(2)), new(int32(7))
	if l, err := (tokenspec.Resolver{}).QuotaLimits(w.ctx, &c, w.namespace, "blog"); err != nil || l.Namespaces[w.namespace] != 7 || l.Namespaces["blog"] < 1<<31 {
		t.Errorf("the largest limit counts, and one without has none: %+v", l)
	}
}
