package e2e_test

import (
	"testing"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

// twoTenants returns two tenants. The objects that the first refers to exist only in the namespace
// of the second.
func twoTenants(t *testing.T) (mine, theirs *tenant) {
	t.Helper()
	mine = newSharedTenant(t)
	return mine, newTenant(t, mine.op)
}

func TestGrant_ForeignClientIsRefused(t *testing.T) { // clientRef [3.6] [3.10] [rows 3, 6]
	mine, theirs := twoTenants(t)
	mine.declareToken("indexer", `{clientRef: {name: `+theirs.name+`}}`)
	mine.waitRefused("indexer", v1alpha1.ReasonNamespaceNotGranted)
	mine.assertNothingMinted("indexer")
	// The same holds for a token that was issued, and then refers to the foreign client.
	mine.editToken("indexer", `{clientRef: {name: `+mine.name+`}}`)
	d := mine.currentDigest("indexer")
	mine.editToken("indexer", `{clientRef: {name: `+theirs.name+`}}`)
	mine.waitRefused("indexer", v1alpha1.ReasonNamespaceNotGranted)
	mine.waitAccepted("the token that was pointed at another tenant's client", d, false)
	mine.editToken("indexer", `{clientRef: {name: `+mine.name+`}}`)
	mine.waitReady("indexer")
	mine.waitAccepted("the token that came back", d, true)
}

func TestClone_IgnoresOtherNamespace(t *testing.T) { // cloneFrom [3.10] [row 6]
	mine, theirs := twoTenants(t)
	theirs.declareToken("source", `{}`)
	theirs.waitReady("source")
	mine.declareToken("indexer", `{clientRef: null, roles: null, cloneFrom: {name: source}}`)
	mine.waitRefused("indexer", v1alpha1.ReasonSourceMissing)
	mine.assertNothingMinted("indexer")
}

func TestSecret_OtherNamespaceIsNotWritten(t *testing.T) { // secret.name [3.10] [3.11] [rows 4, 6]
	mine, theirs := twoTenants(t)
	s := theirs.foreignSecret("shared", nil)
	mark := sentRequests.mark()
	mine.declareToken("indexer", `{secret: {name: shared}}`)
	mine.waitReady("indexer")
	mine.editToken("indexer", `{secret: {name: other}}`)
	mine.waitUntil("indexer", "has moved", func(at *v1alpha1.ApplicationToken) bool { return at.Status.SecretName == "other" })
	mine.kubectl("delete", "at", "indexer")
	theirs.assertUntouched(s)
	if asked := sentRequests.since(mark, inNamespace(theirs.name)); len(asked) > 0 {
		t.Errorf("the operator went to the other namespace: %v", asked)
	}
}

func TestRestart_IgnoresOtherNamespace(t *testing.T) { // restart.name [3.10] [row 6]
	mine, theirs := twoTenants(t)
	theirs.createWorkload("Deployment", "reader")
	mark := sentRequests.mark()
	mine.declareToken("indexer", `{restart: [{kind: Deployment, name: reader}]}`)
	mine.waitUntil("indexer", "finds no such workload", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && conditionOf(at, v1alpha1.ConditionRestarted).Reason == v1alpha1.ReasonRestartTargetMissing
	})
	if g := theirs.consumer("Deployment", "reader").GetGeneration(); g != 1 {
		t.Errorf("their workload was restarted %d times", g-1)
	}
	if asked := sentRequests.since(mark, inNamespace(theirs.name)); len(asked) > 0 {
		t.Errorf("the operator went to the other namespace: %v", asked)
	}
}

func TestRecord_ForeignRecordIsIgnored(t *testing.T) { // the annotation on a Secret [3.2] [3.10] [row 6]
	mine, theirs := twoTenants(t)
	theirs.declareToken("indexer", `{}`)
	theirs.declareToken("source", `{}`)
	foreign := theirs.currentDigest("indexer")
	before := theirs.records("indexer")[0]
	vouch := func(object string, record token.Digest, data map[string][]byte) {
		s := mine.secret(object)
		s.Annotations[v1alpha1.AnnotationRecord] = record.RecordName()
		if data != nil {
			s.Data = data
		}
		mine.must(admin.Update(t.Context(), s))
	}

	mine.declareToken("indexer", `{}`)
	own := mine.currentDigest("indexer")
	vouch("indexer", foreign, nil)
	mine.waitUntil("indexer", "names its own record again", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && mine.secret("indexer").Annotations[v1alpha1.AnnotationRecord] == own.RecordName()
	})
	if now := mine.currentDigest("indexer"); now != own || !mine.isAccepted(now) {
		t.Error("a record of a namesake in another namespace was taken for that of the token in the Secret")
	}

	mine.declareToken("first", `{}`)
	mine.declareToken("second", `{}`)
	first, second := mine.currentDigest("first"), mine.currentDigest("second")
	vouch("second", first, mine.secret("first").Data)
	mine.waitVersion("second", 2)
	if now := mine.currentDigest("second"); now == second || now == first || !mine.isAccepted(now) {
		t.Error("a record of another token of this namespace was taken for the token's own")
	}
	if after := theirs.records("indexer"); len(after) != 1 || after[0].ResourceVersion != before.ResourceVersion || !theirs.isAccepted(foreign) {
		t.Error("the record of the other namespace was touched")
	}
}
