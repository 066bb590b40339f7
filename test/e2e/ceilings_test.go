package e2e_test

import (
	"testing"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

// neighbours returns two tenants. The objects that the first refers to exist only in the namespace
// of the second.
func neighbours(t *testing.T) (mine, theirs *tenant) {
	t.Helper()
	mine = aTenant(t)
	return mine, tenantOf(t, mine.op)
}

func TestAClientOfSomebodyElseIsNotSpokenFor(t *testing.T) { // clientRef [3.6] [3.10] [rows 3, 6]
	mine, theirs := neighbours(t)
	mine.declare("indexer", `{clientRef: {name: `+theirs.name+`}}`)
	mine.refused("indexer", v1alpha1.ReasonNamespaceNotGranted)
	mine.nothingMinted("indexer")
	// The same holds for a token that was issued, and then refers to the foreign client.
	mine.edit("indexer", `{clientRef: {name: `+mine.name+`}}`)
	d := mine.current("indexer")
	mine.edit("indexer", `{clientRef: {name: `+theirs.name+`}}`)
	mine.refused("indexer", v1alpha1.ReasonNamespaceNotGranted)
	mine.judged("the token that was pointed at somebody else's client", d, false)
	mine.edit("indexer", `{clientRef: {name: `+mine.name+`}}`)
	mine.ready("indexer")
	mine.judged("the token that came back", d, true)
}

func TestATokenOfAnotherNamespaceIsNotCloned(t *testing.T) { // cloneFrom [3.10] [row 6]
	mine, theirs := neighbours(t)
	theirs.declare("source", `{}`)
	theirs.ready("source")
	mine.declare("indexer", `{clientRef: null, roles: null, cloneFrom: {name: source}}`)
	mine.refused("indexer", v1alpha1.ReasonSourceMissing)
	mine.nothingMinted("indexer")
}

func TestASecretOfAnotherNamespaceIsNotWritten(t *testing.T) { // secret.name [3.10] [3.11] [rows 4, 6]
	mine, theirs := neighbours(t)
	s := theirs.stranger("shared", nil)
	mark := sent.mark()
	mine.declare("indexer", `{secret: {name: shared}}`)
	mine.ready("indexer")
	mine.edit("indexer", `{secret: {name: other}}`)
	mine.until("indexer", "has moved", func(at *v1alpha1.ApplicationToken) bool { return at.Status.SecretName == "other" })
	mine.kubectl("delete", "at", "indexer")
	theirs.untouched(s)
	if asked := sent.since(mark, in(theirs.name)); len(asked) > 0 {
		t.Errorf("the operator went to the other namespace: %v", asked)
	}
}

func TestAWorkloadOfAnotherNamespaceIsNotRestarted(t *testing.T) { // restart.name [3.10] [row 6]
	mine, theirs := neighbours(t)
	theirs.workload("Deployment", "reader")
	mark := sent.mark()
	mine.declare("indexer", `{restart: [{kind: Deployment, name: reader}]}`)
	mine.until("indexer", "finds no such workload", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && condition(at, v1alpha1.ConditionRestarted).Reason == v1alpha1.ReasonRestartTargetMissing
	})
	if g := theirs.consumer("Deployment", "reader").GetGeneration(); g != 1 {
		t.Errorf("their workload was restarted %d times", g-1)
	}
	if asked := sent.since(mark, in(theirs.name)); len(asked) > 0 {
		t.Errorf("the operator went to the other namespace: %v", asked)
	}
}

func TestARecordOfSomebodyElseVouchesForNothing(t *testing.T) { // the annotation on a Secret [3.2] [3.10] [row 6]
	mine, theirs := neighbours(t)
	theirs.declare("indexer", `{}`)
	theirs.declare("source", `{}`)
	foreign := theirs.current("indexer")
	before := theirs.records("indexer")[0]
	vouch := func(object string, record token.Digest, data map[string][]byte) {
		s := mine.secret(object)
		s.Annotations[v1alpha1.AnnotationRecord] = record.RecordName()
		if data != nil {
			s.Data = data
		}
		mine.must(admin.Update(t.Context(), s))
	}

	mine.declare("indexer", `{}`)
	own := mine.current("indexer")
	vouch("indexer", foreign, nil)
	mine.until("indexer", "names its own record again", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && mine.secret("indexer").Annotations[v1alpha1.AnnotationRecord] == own.RecordName()
	})
	if now := mine.current("indexer"); now != own || !mine.accepted(now) {
		t.Error("a record of a namesake in another namespace was taken for that of the token in the Secret")
	}

	mine.declare("first", `{}`)
	mine.declare("second", `{}`)
	first, second := mine.current("first"), mine.current("second")
	vouch("second", first, mine.secret("first").Data)
	mine.version("second", 2)
	if now := mine.current("second"); now == second || now == first || !mine.accepted(now) {
		t.Error("a record of another token of this namespace was taken for the token's own")
	}
	if after := theirs.records("indexer"); len(after) != 1 || after[0].ResourceVersion != before.ResourceVersion || !theirs.accepted(foreign) {
		t.Error("the record of the other namespace was touched")
	}
}
