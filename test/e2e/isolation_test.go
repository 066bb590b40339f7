package e2e_test

import (
	"testing"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

// twoTenants returns two tenants. The objects that the first refers to exist only in the namespace
// of the second.
func twoTenants(t *testing.T) (own, foreign *tenant) {
	t.Helper()
	own = newSharedTenant(t)
	return own, newTenant(t, own.op)
}

func TestGrant_ForeignClientIsRefused(t *testing.T) { // clientRef [3.6] [3.10] [rows 3, 6]
	own, foreign := twoTenants(t)
	own.declareToken("indexer", `{clientRef: {name: `+foreign.name+`}}`)
	own.waitRefused("indexer", v1alpha1.ReasonNamespaceNotGranted)
	own.assertNothingMinted("indexer")
	// The same holds for a token that was issued, and then refers to the foreign client.
	own.editToken("indexer", `{clientRef: {name: `+own.name+`}}`)
	d := own.currentDigest("indexer")
	own.editToken("indexer", `{clientRef: {name: `+foreign.name+`}}`)
	own.waitRefused("indexer", v1alpha1.ReasonNamespaceNotGranted)
	own.waitAccepted("the token that was pointed at another tenant's client", d, false)
	own.editToken("indexer", `{clientRef: {name: `+own.name+`}}`)
	own.waitReady("indexer")
	own.waitAccepted("the token that came back", d, true)
}

func TestClone_IgnoresOtherNamespace(t *testing.T) { // cloneFrom [3.10] [row 6]
	own, foreign := twoTenants(t)
	foreign.declareToken("source", `{}`)
	foreign.waitReady("source")
	own.declareToken("indexer", `{clientRef: null, roles: null, cloneFrom: {name: source}}`)
	own.waitRefused("indexer", v1alpha1.ReasonSourceMissing)
	own.assertNothingMinted("indexer")
}

func TestSecret_OtherNamespaceIsNotWritten(t *testing.T) { // secret.name [3.10] [3.11] [rows 4, 6]
	own, foreign := twoTenants(t)
	s := foreign.foreignSecret("shared", nil)
	mark := sentRequests.mark()
	own.declareToken("indexer", `{secret: {name: shared}}`)
	own.waitReady("indexer")
	own.editToken("indexer", `{secret: {name: other}}`)
	own.waitUntil("indexer", "has moved", func(at *v1alpha1.ApplicationToken) bool { return at.Status.SecretName == "other" })
	own.kubectl("delete", "at", "indexer")
	foreign.assertUntouched(s)
	if asked := sentRequests.since(mark, inNamespace(foreign.name)); len(asked) > 0 {
		t.Errorf("the operator went to the other namespace: %v", asked)
	}
}

func TestRestart_IgnoresOtherNamespace(t *testing.T) { // restart.name [3.10] [row 6]
	own, foreign := twoTenants(t)
	foreign.createWorkload("Deployment", "reader")
	mark := sentRequests.mark()
	own.declareToken("indexer", `{restart: [{kind: Deployment, name: reader}]}`)
	own.waitUntil("indexer", "finds no such workload", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && conditionOf(at, v1alpha1.ConditionRestarted).Reason == v1alpha1.ReasonRestartTargetMissing
	})
	if g := foreign.consumer("Deployment", "reader").GetGeneration(); g != 1 {
		t.Errorf("their workload was restarted %d times", g-1)
	}
	if asked := sentRequests.since(mark, inNamespace(foreign.name)); len(asked) > 0 {
		t.Errorf("the operator went to the other namespace: %v", asked)
	}
}

func TestRecord_ForeignRecordIsIgnored(t *testing.T) { // the annotation on a Secret [3.2] [3.10] [row 6]
	own, foreign := twoTenants(t)
	foreign.declareToken("indexer", `{}`)
	foreign.declareToken("source", `{}`)
	foreign := foreign.currentDigest("indexer")
	before := foreign.records("indexer")[0]
	vouch := func(object string, record token.Digest, data map[string][]byte) {
		s := own.secret(object)
		s.Annotations[v1alpha1.AnnotationRecord] = record.RecordName()
		if data != nil {
			s.Data = data
		}
		own.must(admin.Update(t.Context(), s))
	}

	own.declareToken("indexer", `{}`)
	own := own.currentDigest("indexer")
	vouch("indexer", foreign, nil)
	own.waitUntil("indexer", "names its own record again", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && own.secret("indexer").Annotations[v1alpha1.AnnotationRecord] == own.RecordName()
	})
	if now := own.currentDigest("indexer"); now != own || !own.isAccepted(now) {
		t.Error("a record of a namesake in another namespace was taken for that of the token in the Secret")
	}

	own.declareToken("first", `{}`)
	own.declareToken("second", `{}`)
	first, second := own.currentDigest("first"), own.currentDigest("second")
	vouch("second", first, own.secret("first").Data)
	own.waitVersion("second", 2)
	if now := own.currentDigest("second"); now == second || now == first || !own.isAccepted(now) {
		t.Error("a record of another token of this namespace was taken for the token's own")
	}
	if after := foreign.records("indexer"); len(after) != 1 || after[0].ResourceVersion != before.ResourceVersion || !foreign.isAccepted(foreign) {
		t.Error("the record of the other namespace was touched")
	}
}
