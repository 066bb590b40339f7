package management_test

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

func TestManage_DeclaredTokenIsShownNotChanged(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	o := w.NewOperator(api, api)
	w.Must(o.Settle())
	k := w.NewManagementReplica(api)
	name := w.Namespace + ":indexer"
	got, err := k.Get(w.Ctx, w.Scope(), name)
	w.Must(err)
	if !got.Declared || got.Name != name || !got.Ready || got.ID != w.NewestRecordName() {
		t.Errorf("got %+v", got)
	}
	_, err = k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), name, management.Change{Roles: new([]string{})})
	if no, ok := errors.AsType[*management.Refused](err); !ok || !strings.Contains(no.Message, "change its manifest") {
		t.Errorf("changed: %v", err)
	}
	w.Must(k.Revoke(w.Ctx, w.Scope(), name))
	if n := w.RecordsLeft(); n != 0 || w.Token().Spec.State != v1alpha1.TokenRevoked || len(k.EndedTokens) != 1 {
		t.Errorf("revoked: %d records are left, the state is %s, %d were reported as ended", n, w.Token().Spec.State, len(k.EndedTokens))
	}
	w.History.Ending = true
	w.Must(o.Settle())
	if n := w.RecordsLeft(); n != 0 {
		t.Errorf("[3] %d records came back", n)
	}
}

func TestRevoke_EndsTokenAtOnceAndFreesName(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	w.Must(k.Revoke(w.Ctx, w.Scope(), "CI_deploy"))
	if w.IsAccepted(made.Secret) || !k.EndedTokens[made.Secret.Digest()] {
		t.Error("[3] it is still good")
	}
	if err := k.Revoke(w.Ctx, w.Scope(), "CI_deploy"); !errors.Is(err, management.ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	again, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	w.Must(w.CheckLastDelivered(again.Secret, 0))
	if w.IsAccepted(made.Secret) {
		t.Error("[3] the former one is back")
	}
}

func TestChange_ReducedGrantsApplyAtOnce(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Roles = []string{"primary", "second"} }))
	w.Must(err)
	changed, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{Roles: new([]string{"second"}), SourceRanges: new([]string{"10.0.0.0/8"})})
	w.Must(err)
	r := w.NewestRecord() // there is no leader
	if len(r.Roles) != 1 || r.Roles[0] != "second" || len(r.SourceRanges) != 1 || len(changed.Roles) != 1 {
		t.Errorf("the record has %v from %v", r.Roles, r.SourceRanges)
	}
	_, err = k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{Roles: new([]string{"root"})})
	if no, ok := errors.AsType[*management.Refused](err); !ok || no.Field != "roles" {
		t.Errorf("more than the client has: %v", err)
	}
	suspended, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{State: new("Suspended")})
	w.Must(err)
	if w.IsAccepted(made.Secret) || suspended.State != "Suspended" || suspended.Ready {
		t.Errorf("[7] suspended it is %+v", suspended)
	}
	o := w.NewOperator(api, api)
	w.Must(o.SettleOwnNamespace())
	_, err = k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{State: new("Active")})
	w.Must(err)
	w.Must(o.SettleOwnNamespace())
	w.Must(w.CheckLastDelivered(made.Secret, 0))
	for _, state := range []string{"Revoked", "", "active"} {
		_, err = k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{State: &state})
		if no, ok := errors.AsType[*management.Refused](err); !ok || no.Field != "state" {
			t.Errorf("state %q: %v", state, err)
		}
	}
}

// A token that is already refused can still be reduced.
func TestChange_RefusedTokenCanBeReduced(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	_, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Roles = []string{"primary", "second"} }))
	w.Must(err)
	var c v1alpha1.Client
	w.Must(api.Get(w.Ctx, types.NamespacedName{Name: w.ClientName}, &c))
	c.Spec.Tokens.MaxLifetime = "1m"
	w.Must(api.Update(w.Ctx, &c))
	_, err = k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{Roles: new([]string{"second"})})
	w.Must(err)
	if r := w.NewestRecord(); len(r.Roles) != 1 {
		t.Errorf("the record has %v", r.Roles)
	}
	if _, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", ""); err == nil {
		t.Error("what the policy refuses is rotated")
	}
}
