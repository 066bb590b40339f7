package e2e_test

import (
	"testing"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

// twoTenants returns two tenants. The objects that the first refers to exist only in the namespace
// of the second.
func twoTenants(t *testing.T) (tenantA, tenantB *tenant) {
	t.Helper()
	tenantA = newSharedTenant(t)
	return tenantA, newTenant(t, tenantA.op)
}

func TestGrant_ForeignClientIsRefused(t *testing.T) { // clientRef [3.6] [3.10] [rows 3, 6]
	tenantA, tenantB := twoTenants(t)
	tenantA.declareToken("indexer", `{clientRef: {name: `+tenantB.name+`}}`)
	tenantA.waitRefused("indexer", v1alpha1.ReasonNamespaceNotGranted)
	tenantA.assertNothingMinted("indexer")
	// The same holds for a token that was issued, and then refers to the foreign client.
	tenantA.editToken("indexer", `{clientRef: {name: `+tenantA.name+`}}`)
	d := tenantA.currentDigest("indexer")
	tenantA.editToken("indexer", `{clientRef: {name: `+tenantB.name+`}}`)
	tenantA.waitRefused("indexer", v1alpha1.ReasonNamespaceNotGranted)
	tenantA.waitAccepted("the token that was pointed at another tenant's client", d, false)
	tenantA.editToken("indexer", `{clientRef: {name: `+tenantA.name+`}}`)
	tenantA.waitReady("indexer")
	tenantA.waitAccepted("the token that came back", d, true)
}

func TestClone_IgnoresOtherNamespace(t *testing.T) { // cloneFrom [3.10] [row 6]
	tenantA, tenantB := twoTenants(t)
	tenantB.declareToken("source", `{}`)
	tenantB.waitReady("source")
	tenantA.declareToken("indexer", `{clientRef: null, roles: null, cloneFrom: {name: source}}`)
	tenantA.waitRefused("indexer", v1alpha1.ReasonSourceMissing)
	tenantA.assertNothingMinted("indexer")
}

func TestSecret_OtherNamespaceIsNotWritten(t *testing.T) { // secret.name [3.10] [3.11] [rows 4, 6]
	tenantA, tenantB := twoTenants(t)
	s := tenantB.foreignSecret("shared", nil)
	mark := sentRequests.mark()
	tenantA.declareToken("indexer", `{secret: {name: shared}}`)
	tenantA.waitReady("indexer")
	tenantA.editToken("indexer", `{secret: {name: other}}`)
	tenantA.waitUntil("indexer", "has moved", func(at *v1alpha1.ApplicationToken) bool { return at.Status.SecretName == "other" })
	tenantA.kubectl("delete", "at", "indexer")
	tenantB.assertUntouched(s)
	if asked := sentRequests.since(mark, inNamespace(tenantB.name)); len(asked) > 0 {
		t.Errorf("the operator went to the other namespace: %v", asked)
	}
}

func TestRestart_IgnoresOtherNamespace(t *testing.T) { // restart.name [3.10] [row 6]
	tenantA, tenantB := twoTenants(t)
	tenantB.createWorkload("Deployment", "reader")
	mark := sentRequests.mark()
	tenantA.declareToken("indexer", `{restart: [{kind: Deployment, name: reader}]}`)
	tenantA.waitUntil("indexer", "finds no such workload", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && conditionOf(at, v1alpha1.ConditionRestarted).Reason == v1alpha1.ReasonRestartTargetMissing
	})
	if g := tenantB.consumer("Deployment", "reader").GetGeneration(); g != 1 {
		t.Errorf("their workload was restarted %d times", g-1)
	}
	if asked := sentRequests.since(mark, inNamespace(tenantB.name)); len(asked) > 0 {
		t.Errorf("the operator went to the other namespace: %v", asked)
	}
}

func TestRecord_ForeignRecordIsIgnored(t *testing.T) { // the annotation on a Secret [3.2] [3.10] [row 6]
	tenantA, tenantB := twoTenants(t)
	tenantB.declareToken("indexer", `{}`)
	tenantB.declareToken("source", `{}`)
	foreign := tenantB.currentDigest("indexer")
	before := tenantB.records("indexer")[0]
	vouch := func(object string, record token.Digest, data map[string][]byte) {
		s := tenantA.secret(object)
		s.Annotations[v1alpha1.AnnotationRecord] = record.RecordName()
		if data != nil {
			s.Data = data
		}
		tenantA.must(admin.Update(t.Context(), s))
	}

	tenantA.declareToken("indexer", `{}`)
	own := tenantA.currentDigest("indexer")
	vouch("indexer", foreign, nil)
	tenantA.waitUntil("indexer", "names its own record again", func(at *v1alpha1.ApplicationToken) bool {
		return isReady(at) && tenantA.secret("indexer").Annotations[v1alpha1.AnnotationRecord] == own.RecordName()
	})
	if now := tenantA.currentDigest("indexer"); now != own || !tenantA.isAccepted(now) {
		t.Error("a record of a namesake in another namespace was taken for that of the token in the Secret")
	}

	tenantA.declareToken("first", `{}`)
	tenantA.declareToken("second", `{}`)
	first, second := tenantA.currentDigest("first"), tenantA.currentDigest("second")
	vouch("second", first, tenantA.secret("first").Data)
	tenantA.waitVersion("second", 2)
	if now := tenantA.currentDigest("second"); now == second || now == first || !tenantA.isAccepted(now) {
		t.Error("a record of another token of this namespace was taken for the token's own")
	}
	if after := tenantB.records("indexer"); len(after) != 1 || after[0].ResourceVersion != before.ResourceVersion || !tenantB.isAccepted(foreign) {
		t.Error("the record of the other namespace was touched")
	}
}
