package management_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// Threats row 12.
func TestRevoke_FailedWriteIsNoSuccess(t *testing.T) {
	w := newFixture(t)
	sound := w.NewManagementReplica(api)
	made, err := sound.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	w.Must(w.NewOperator(api, api).SettleOwnNamespace())
	f := w.Faults(1, operatortest.FaultMode{Name: "an error", Err: operatortest.ErrInternal})
	failing := w.NewManagementReplica(f.Wrap(api))
	if err := failing.Revoke(w.Ctx, w.Scope(), "CI_deploy"); !errors.Is(err, management.ErrUnavailable) {
		t.Errorf("the deletion failed: %v", err)
	}
	if got, err := sound.Get(w.Ctx, w.Scope(), "CI_deploy"); err != nil || !got.Ready || got.State != "Active" || !w.IsAccepted(made.Secret) {
		t.Errorf("it is shown as %+v, %v", got, err)
	}
	f.BeginStep()
	f.At = 2 // the record, after the object
	if err := failing.Revoke(w.Ctx, w.Scope(), "CI_deploy"); !errors.Is(err, management.ErrUnavailable) || len(failing.EndedTokens) > 0 {
		t.Errorf("the end of its record failed: %v", err)
	}
	if got, err := sound.Get(w.Ctx, w.Scope(), "CI_deploy"); err != nil || got.Ready || got.State != "Revoked" {
		t.Errorf("half revoked it is shown as %+v, %v", got, err)
	}
	if _, err := sound.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken()); !errors.Is(err, management.ErrUnavailable) {
		t.Errorf("its name is not free yet: %v", err)
	}
	w.Must(sound.Revoke(w.Ctx, w.Scope(), "CI_deploy"))
	if w.IsAccepted(made.Secret) {
		t.Error("[3] it is good")
	}
}

func TestManage_UnavailableWithoutAPIServer(t *testing.T) {
	w := newFixture(t)
	made, err := w.NewManagementReplica(api).Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	f := w.Faults(1, operatortest.FaultMode{Name: "a crash", Crashes: true, Reads: true, Err: operatortest.ErrCrash})
	k := w.NewManagementReplica(f.Wrap(api))
	_, created := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	_, listed := k.List(w.Ctx, w.Scope())
	_, got := k.Get(w.Ctx, w.Scope(), "CI_deploy")
	_, changed := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{})
	_, cloned := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "copy", "")
	_, rotated := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
	_, own := k.RotateOwn(w.Ctx, operatortest.RootCaller, made.Secret.Digest(), "")
	for what, err := range map[string]error{
		"create": created, "list": listed, "get": got, "change": changed, "clone": cloned, "rotate": rotated, "rotate own": own,
		"revoke": k.Revoke(w.Ctx, w.Scope(), "CI_deploy"),
	} {
		if !errors.Is(err, management.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Invariant 1.
func TestResponse_NoObjectHoldsPlaintext(t *testing.T) {
	w := newFixture(t)
	k, o := w.NewManagementReplica(api), w.NewOperator(api, api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	next, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "the key of a request")
	w.Must(err)
	w.Must(o.SettleOwnNamespace())
	var tokens v1alpha1.ApplicationTokenList
	var records v1alpha1.TokenRecordList
	w.Must(api.List(w.Ctx, &tokens, client.InNamespace(w.OwnNamespace)))
	w.Must(api.List(w.Ctx, &records, client.InNamespace(w.OwnNamespace)))
	text, err := json.Marshal([]any{tokens, records, made.Token, next.Token})
	w.Must(err)
	for _, secret := range []string{made.Secret.Reveal(), next.Secret.Reveal(), "the key of a request"} {
		if strings.Contains(string(text), secret) || strings.Contains(string(text), base64.StdEncoding.EncodeToString([]byte(secret))) {
			t.Error("an object holds it")
		}
	}
}

// The leader's cache may not have a record that was created a moment ago.
func TestResponse_StaleRecordCacheKeepsTokenDelivered(t *testing.T) {
	w := newFixture(t)
	stale := &operatortest.Snapshot{Kinds: 4}
	w.Must(stale.Take(w.Fixture))
	k, o := w.NewManagementReplica(api), w.NewOperator(stale.Over(api), api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	for range 2 {
		_, err = o.Tokens.Reconcile(w.Ctx, w.ManagedObject(made.Token))
		w.Must(err)
		if reason, _ := operatortest.Readiness(w.ManagedObject(made.Token)); reason != v1alpha1.ReasonDelivered {
			t.Errorf("it is %s", reason)
		}
		w.Now = w.Now.Add(10 * time.Minute)
		_, err = k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
		w.Must(err)
	}
}
