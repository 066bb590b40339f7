package e2e_test

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
)

func TestARenameToATakenNameKeepsTheOldSecret(t *testing.T) { // [3.11]
	w := aTenant(t)
	w.declare("indexer", `{}`)
	d := w.current("indexer")
	s := w.stranger("taken", nil)
	w.edit("indexer", `{secret: {name: taken}}`)
	at := w.refused("indexer", v1alpha1.ReasonSecretTaken)
	w.untouched(s)
	if w.digest(w.secret("indexer")) != d || !w.accepted(d) {
		t.Error("the token that runs was given up")
	}
	if said := condition(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "until then Secret indexer holds version 1") || at.Status.SecretName != "indexer" {
		t.Errorf("it is not told where the token is: %s; status.secretName is %q", said, at.Status.SecretName)
	}
	w.edit("indexer", `{secret: {name: null}}`)
	if w.current("indexer") != d {
		t.Error("the token is another")
	}
}

func TestTheTokenGetsIntoAFreeNameAfterATakenOne(t *testing.T) { // [row 22]
	w := aTenant(t)
	w.declare("indexer", `{}`)
	d := w.current("indexer")
	w.stranger("taken", nil)
	w.edit("indexer", `{secret: {name: taken}}`)
	w.refused("indexer", v1alpha1.ReasonSecretTaken)
	w.edit("indexer", `{secret: {name: free}}`)
	w.eventually("there is a Secret of the free name, and none of the first", func(context.Context) bool { return !w.noSecret("free") && w.noSecret("indexer") })
	w.ready("indexer")
	if w.digest(w.secret("free")) != d || len(w.records("indexer")) != 1 {
		t.Error("the token is another")
	}

	w.edit("indexer", `{secret: {name: taken}}`)
	w.refused("indexer", v1alpha1.ReasonSecretTaken)
	w.edit("indexer", `{state: Revoked}`)
	w.eventually("no Secret is left of a revoked token", func(context.Context) bool { return w.noSecret("free") && !w.noSecret("taken") })
}

func TestATakenNameThatIsOfferedGetsTheTokenThatRuns(t *testing.T) { // [3.11] [row 22]
	w := aTenant(t)
	w.declare("indexer", `{}`)
	d := w.current("indexer")
	w.stranger("taken", nil)
	w.edit("indexer", `{secret: {name: taken}}`)
	w.refused("indexer", v1alpha1.ReasonSecretTaken)
	w.kubectl("label", "secret", "taken", v1alpha1.LabelManaged+"=true")
	w.kubectl("annotate", "secret", "taken", v1alpha1.AnnotationAdopt+"=indexer")
	w.eventually("the Secret of the first name is gone", func(context.Context) bool { return w.noSecret("indexer") })
	w.ready("indexer")
	if w.digest(w.secret("taken")) != d || len(w.records("indexer")) != 1 {
		t.Error("the token is another")
	}
}

func TestARotationThatIsDueWaitsForAFreeName(t *testing.T) { // no hot loop
	w := aTenant(t)
	w.declare("indexer", `{rotation: {trigger: a}}`)
	d := w.current("indexer")
	s := w.stranger("taken", nil)
	w.edit("indexer", `{rotation: {trigger: b}, secret: {name: taken}}`)
	w.refused("indexer", v1alpha1.ReasonSecretTaken)
	w.calm("other")
	mark := sent.mark()
	w.calm("another")
	if again := sent.since(mark, func(r request) bool {
		return r.verb == "create" && (r.namespace == w.name && r.name == "taken" || r.resource == "tokenrecords" && r.namespace == w.name)
	}); len(again) > 0 {
		t.Errorf("it tries again and again: %v", again)
	}
	if w.digest(w.secret("indexer")) != d || !w.accepted(d) || len(w.records("indexer")) != 1 {
		t.Error("the token that runs was given up")
	}
	w.untouched(s)
	w.edit("indexer", `{secret: {name: free}}`)
	w.eventually("it rotates once the name is free", func(context.Context) bool {
		return !w.noSecret("free") && w.noSecret("indexer") && len(w.records("indexer")) == 2
	})
}

func TestTwoTokensThatSwapTheirSecretsKeepThem(t *testing.T) { // [3.11]
	w := aTenant(t)
	w.declare("a", `{}`)
	w.declare("b", `{}`)
	a, b := w.current("a"), w.current("b")
	w.edit("a", `{secret: {name: b}}`)
	w.edit("b", `{secret: {name: a}}`)
	for name, other := range map[string]string{"a": "b", "b": "a"} {
		at := w.refused(name, v1alpha1.ReasonSecretTaken)
		if said := condition(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "belongs to ApplicationToken "+other+"; set another") {
			t.Errorf("%s is told %s", name, said)
		}
	}
	w.until("a", "names the exchange", func(at *v1alpha1.ApplicationToken) bool {
		return strings.Contains(condition(at, v1alpha1.ConditionReady).Message, "this token and b exchange the names of their Secrets")
	})
	if w.digest(w.secret("a")) != a || w.digest(w.secret("b")) != b || !w.accepted(a) || !w.accepted(b) {
		t.Error("a token is not where it was, or refused")
	}
	w.must(admin.Delete(t.Context(), &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "b"}}))
	w.eventually("b's Secret is gone with it, and a's is in its place", func(context.Context) bool {
		return w.noSecret("a") && !w.noSecret("b") && w.digest(w.secret("b")) == a
	})
	w.ready("a")
}
