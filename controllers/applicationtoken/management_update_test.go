package applicationtoken_test

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
)

func TestManage_DeclaredTokenIsShownNotChanged(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	o := w.newOperator(api, api)
	w.must(o.settle())
	k := w.newManagementReplica(api)
	name := w.namespace + ":indexer"
	got, err := k.Get(w.ctx, w.scope(), name)
	w.must(err)
	if !got.Declared || got.Name != name || !got.Ready || got.ID != w.newestRecordName() {
		t.Errorf("got %+v", got)
	}
	_, err = k.Change(w.ctx, rootCaller, w.scope(), name, management.Change{Roles: new([]string{})})
	if no, ok := errors.AsType[*management.Refused](err); !ok || !strings.Contains(no.Message, "change its manifest") {
		t.Errorf("changed: %v", err)
	}
	w.must(k.Revoke(w.ctx, w.scope(), name))
	if n := w.recordsLeft(); n != 0 || w.token().Spec.State != v1alpha1.TokenRevoked || len(k.endedTokens) != 1 {
		t.Errorf("revoked: %d records are left, the state is %s, %d were told of", n, w.token().Spec.State, len(k.endedTokens))
	}
	w.history.ending = true
	w.must(o.settle())
	if n := w.recordsLeft(); n != 0 {
		t.Errorf("[3] %d records came back", n)
	}
}

func TestRevoke_EndsTokenAtOnceAndFreesName(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	w.must(k.Revoke(w.ctx, w.scope(), "CI_deploy"))
	if w.isAccepted(made.Secret) || !k.endedTokens[made.Secret.Digest()] {
		t.Error("[3] it is still good")
	}
	if err := k.Revoke(w.ctx, w.scope(), "CI_deploy"); !errors.Is(err, management.ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	again, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	w.must(w.checkLastDelivered(again.Secret, 0))
	if w.isAccepted(made.Secret) {
		t.Error("[3] the former one is back")
	}
}

func TestChange_ReducedGrantsApplyAtOnce(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Roles = []string{"primary", "second"} }))
	w.must(err)
	changed, err := k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{Roles: new([]string{"second"}), SourceRanges: new([]string{"10.0.0.0/8"})})
	w.must(err)
	r := w.newestRecord() // there is no leader
	if len(r.Roles) != 1 || r.Roles[0] != "second" || len(r.SourceRanges) != 1 || len(changed.Roles) != 1 {
		t.Errorf("the record has %v from %v", r.Roles, r.SourceRanges)
	}
	_, err = k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{Roles: new([]string{"root"})})
	if no, ok := errors.AsType[*management.Refused](err); !ok || no.Field != "roles" {
		t.Errorf("more than the client has: %v", err)
	}
	suspended, err := k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{State: new("Suspended")})
	w.must(err)
	if w.isAccepted(made.Secret) || suspended.State != "Suspended" || suspended.Ready {
		t.Errorf("[7] suspended it is %+v", suspended)
	}
	o := w.newOperator(api, api)
	w.must(o.settleOwnNamespace())
	_, err = k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{State: new("Active")})
	w.must(err)
	w.must(o.settleOwnNamespace())
	w.must(w.checkLastDelivered(made.Secret, 0))
	for _, state := range []string{"Revoked", "", "active"} {
		_, err = k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{State: &state})
		if no, ok := errors.AsType[*management.Refused](err); !ok || no.Field != "state" {
			t.Errorf("state %q: %v", state, err)
		}
	}
}

// A token that is already refused can still be reduced.
func TestChange_RefusedTokenCanBeReduced(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	_, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Roles = []string{"primary", "second"} }))
	w.must(err)
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.clientName}, &c))
	c.Spec.Tokens.MaxLifetime = "1m"
	w.must(api.Update(w.ctx, &c))
	_, err = k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{Roles: new([]string{"second"})})
	w.must(err)
	if r := w.newestRecord(); len(r.Roles) != 1 {
		t.Errorf("the record has %v", r.Roles)
	}
	if _, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", ""); err == nil {
		t.Error("what the policy refuses is rotated")
	}
}
