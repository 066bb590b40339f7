package applicationtoken_test

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
)

// Threats row 12.
func TestRevoke_FailedWriteIsNoSuccess(t *testing.T) {
	w := newFixture(t)
	sound := w.newManagementReplica(api)
	made, err := sound.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	w.must(w.newOperator(api, api).settleOwnNamespace())
	f := w.faults(1, faultMode{name: "an error", err: errInternal})
	failing := w.newManagementReplica(f.wrap(api))
	if err := failing.Revoke(w.ctx, w.scope(), "CI_deploy"); !errors.Is(err, management.ErrUnavailable) {
		t.Errorf("the deletion failed: %v", err)
	}
	if got, err := sound.Get(w.ctx, w.scope(), "CI_deploy"); err != nil || !got.Ready || got.State != "Active" || !w.isAccepted(made.Secret) {
		t.Errorf("it is shown as %+v, %v", got, err)
	}
	f.beginStep()
	f.at = 2 // the record, after the object
	if err := failing.Revoke(w.ctx, w.scope(), "CI_deploy"); !errors.Is(err, management.ErrUnavailable) || len(failing.endedTokens) > 0 {
		t.Errorf("the end of its record failed: %v", err)
	}
	if got, err := sound.Get(w.ctx, w.scope(), "CI_deploy"); err != nil || got.Ready || got.State != "Revoked" {
		t.Errorf("half revoked it is shown as %+v, %v", got, err)
	}
	if _, err := sound.Create(w.ctx, rootCaller, w.scope(), ciToken()); !errors.Is(err, management.ErrUnavailable) {
		t.Errorf("its name is not free yet: %v", err)
	}
	w.must(sound.Revoke(w.ctx, w.scope(), "CI_deploy"))
	if w.isAccepted(made.Secret) {
		t.Error("[3] it is good")
	}
}

func TestManage_UnavailableWithoutAPIServer(t *testing.T) {
	w := newFixture(t)
	made, err := w.newManagementReplica(api).Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	f := w.faults(1, faultMode{name: "a crash", crashes: true, reads: true, err: errCrash})
	k := w.newManagementReplica(f.wrap(api))
	_, created := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	_, listed := k.List(w.ctx, w.scope())
	_, got := k.Get(w.ctx, w.scope(), "CI_deploy")
	_, changed := k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{})
	_, cloned := k.Clone(w.ctx, rootCaller, w.scope(), "CI_deploy", "copy", "")
	_, rotated := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
	_, own := k.RotateOwn(w.ctx, rootCaller, made.Secret.Digest(), "")
	for what, err := range map[string]error{
		"create": created, "list": listed, "get": got, "change": changed, "clone": cloned, "rotate": rotated, "rotate own": own,
		"revoke": k.Revoke(w.ctx, w.scope(), "CI_deploy"),
	} {
		if !errors.Is(err, management.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Invariant 1.
func TestResponse_NoObjectHoldsPlaintext(t *testing.T) {
	w := newFixture(t)
	k, o := w.newManagementReplica(api), w.newOperator(api, api)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	next, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "the key of a request")
	w.must(err)
	w.must(o.settleOwnNamespace())
	var tokens v1alpha1.ApplicationTokenList
	var records v1alpha1.TokenRecordList
	w.must(api.List(w.ctx, &tokens, client.InNamespace(w.ownNamespace)))
	w.must(api.List(w.ctx, &records, client.InNamespace(w.ownNamespace)))
	text, err := json.Marshal([]any{tokens, records, made.Token, next.Token})
	w.must(err)
	for _, secret := range []string{made.Secret.Reveal(), next.Secret.Reveal(), "the key of a request"} {
		if strings.Contains(string(text), secret) || strings.Contains(string(text), base64.StdEncoding.EncodeToString([]byte(secret))) {
			t.Error("an object holds it")
		}
	}
}

// The leader's cache may not have a record that was created a moment ago.
func TestResponse_StaleRecordCacheKeepsTokenDelivered(t *testing.T) {
	w := newFixture(t)
	stale := &snapshot{kinds: 4}
	w.must(stale.take(w))
	k, o := w.newManagementReplica(api), w.newOperator(stale.over(api), api)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	for range 2 {
		_, err = o.tokens.Reconcile(w.ctx, w.managedObject(made.Token))
		w.must(err)
		if reason, _ := readiness(w.managedObject(made.Token)); reason != v1alpha1.ReasonDelivered {
			t.Errorf("it is %s", reason)
		}
		w.now = w.now.Add(10 * time.Minute)
		_, err = k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
		w.must(err)
	}
}
