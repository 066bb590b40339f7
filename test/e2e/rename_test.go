package e2e_test

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
)

func TestRename_TakenNameKeepsOldSecret(t *testing.T) { // [3.11]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	d := w.currentDigest("indexer")
	s := w.foreignSecret("taken", nil)
	w.editToken("indexer", `{secret: {name: taken}}`)
	at := w.waitRefused("indexer", v1alpha1.ReasonSecretTaken)
	w.assertUntouched(s)
	if w.digest(w.secret("indexer")) != d || !w.isAccepted(d) {
		t.Error("the token that runs was given up")
	}
	if said := conditionOf(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "until then Secret indexer holds version 1") || at.Status.SecretName != "indexer" {
		t.Errorf("no message names where the token is: %s; status.secretName is %q", said, at.Status.SecretName)
	}
	w.editToken("indexer", `{secret: {name: null}}`)
	if w.currentDigest("indexer") != d {
		t.Error("the token is another")
	}
}

func TestRename_FreeNameAfterTakenOne(t *testing.T) { // [row 22]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	d := w.currentDigest("indexer")
	w.foreignSecret("taken", nil)
	w.editToken("indexer", `{secret: {name: taken}}`)
	w.waitRefused("indexer", v1alpha1.ReasonSecretTaken)
	w.editToken("indexer", `{secret: {name: free}}`)
	w.eventually("there is a Secret of the free name, and none of the first", func(context.Context) bool { return !w.hasNoSecret("free") && w.hasNoSecret("indexer") })
	w.waitReady("indexer")
	if w.digest(w.secret("free")) != d || len(w.records("indexer")) != 1 {
		t.Error("the token is another")
	}

	w.editToken("indexer", `{secret: {name: taken}}`)
	w.waitRefused("indexer", v1alpha1.ReasonSecretTaken)
	w.editToken("indexer", `{state: Revoked}`)
	w.eventually("no Secret is left of a revoked token", func(context.Context) bool { return w.hasNoSecret("free") && !w.hasNoSecret("taken") })
}

func TestRename_OfferedSecretGetsToken(t *testing.T) { // [3.11] [row 22]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	d := w.currentDigest("indexer")
	w.foreignSecret("taken", nil)
	w.editToken("indexer", `{secret: {name: taken}}`)
	w.waitRefused("indexer", v1alpha1.ReasonSecretTaken)
	w.kubectl("label", "secret", "taken", v1alpha1.LabelManaged+"=true")
	w.kubectl("annotate", "secret", "taken", v1alpha1.AnnotationAdopt+"=indexer")
	w.eventually("the Secret of the first name is gone", func(context.Context) bool { return w.hasNoSecret("indexer") })
	w.waitReady("indexer")
	if w.digest(w.secret("taken")) != d || len(w.records("indexer")) != 1 {
		t.Error("the token is another")
	}
}

func TestRename_DueRotationWaitsForFreeName(t *testing.T) { // no hot loop
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {trigger: a}}`)
	d := w.currentDigest("indexer")
	s := w.foreignSecret("taken", nil)
	w.editToken("indexer", `{rotation: {trigger: b}, secret: {name: taken}}`)
	w.waitRefused("indexer", v1alpha1.ReasonSecretTaken)
	w.waitIdle("other")
	mark := sentRequests.mark()
	w.waitIdle("another")
	if again := sentRequests.since(mark, func(r request) bool {
		return r.verb == "create" && (r.namespace == w.name && r.name == "taken" || r.resource == "tokenrecords" && r.namespace == w.name)
	}); len(again) > 0 {
		t.Errorf("it tries again and again: %v", again)
	}
	if w.digest(w.secret("indexer")) != d || !w.isAccepted(d) || len(w.records("indexer")) != 1 {
		t.Error("the token that runs was given up")
	}
	w.assertUntouched(s)
	w.editToken("indexer", `{secret: {name: free}}`)
	w.eventually("it rotates once the name is free", func(context.Context) bool {
		return !w.hasNoSecret("free") && w.hasNoSecret("indexer") && len(w.records("indexer")) == 2
	})
}

func TestRename_SwappedNamesKeepSecrets(t *testing.T) { // [3.11]
	w := newSharedTenant(t)
	w.declareToken("a", `{}`)
	w.declareToken("b", `{}`)
	a, b := w.currentDigest("a"), w.currentDigest("b")
	w.editToken("a", `{secret: {name: b}}`)
	w.editToken("b", `{secret: {name: a}}`)
	for name, other := range map[string]string{"a": "b", "b": "a"} {
		at := w.waitRefused(name, v1alpha1.ReasonSecretTaken)
		if said := conditionOf(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "belongs to ApplicationToken "+other+"; set another") {
			t.Errorf("%s has the message %s", name, said)
		}
	}
	w.waitUntil("a", "names the exchange", func(at *v1alpha1.ApplicationToken) bool {
		return strings.Contains(conditionOf(at, v1alpha1.ConditionReady).Message, "this token and b exchange the names of their Secrets")
	})
	if w.digest(w.secret("a")) != a || w.digest(w.secret("b")) != b || !w.isAccepted(a) || !w.isAccepted(b) {
		t.Error("a token is not where it was, or refused")
	}
	w.must(admin.Delete(t.Context(), &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "b"}}))
	w.eventually("b's Secret is gone with it, and a's is in its place", func(context.Context) bool {
		return w.hasNoSecret("a") && !w.hasNoSecret("b") && w.digest(w.secret("b")) == a
	})
	w.waitReady("a")
}
