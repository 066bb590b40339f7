package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

// declareAndRotate declares a token, records a use from an address if there is one, rotates the
// token once, and returns its first version.
func (w *tenant) declareAndRotate(name, retire, from string) token.Digest {
	w.Helper()
	w.declareToken(name, `{rotation: {trigger: a, retire: `+retire+`}}`)
	first := w.currentDigest(name)
	if from != "" {
		w.recordUse(first, from)
	}
	w.editToken(name, `{rotation: {trigger: b}}`)
	w.waitVersion(name, 2)
	return first
}

// recordUse records that a credential was used just now, as the verifier does.
func (w *tenant) recordUse(d token.Digest, from string) time.Time {
	w.Helper()
	now := metav1.Now()
	w.must(admin.Status().Patch(w.Context(), &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: d.RecordName()}},
		client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{"lastUsedAt":%q,"lastUsedFrom":%q}}`, now.UTC().Format(time.RFC3339), from))))
	return now.Time
}

func TestRetire_OnceSuccessorIsUsedAndPredecessorQuiet(t *testing.T) {
	w := newSharedTenant(t)
	first := w.declareAndRotate("indexer", `{when: Unused, minOverlap: 1s, quietPeriod: 5s, maxOverlap: 24h}`, "10.1.2.3")
	superseded := w.records("indexer")[1].Spec.SupersededAt
	w.recordUse(w.currentDigest("indexer"), "10.1.2.3")
	w.waitEvent("indexer", "Normal Retired: Version 1", "Unused")
	if early := 5*time.Second - time.Since(superseded.Time); early > 0 {
		t.Errorf("it went %s before it was quiet for its quietPeriod since the rotation", early)
	}
	w.waitAccepted("what was never used", first, false)
	w.waitUntil("indexer", "names no predecessor any more", func(at *v1alpha1.ApplicationToken) bool { return len(at.Status.Predecessors) == 0 })
}

func TestRetire_KeepsPredecessorUntilItsSuccessorIsUsed(t *testing.T) {
	w := newSharedTenant(t)
	first := w.declareAndRotate("indexer", `{when: Unused, minOverlap: 1s, quietPeriod: 1s, maxOverlap: 24h}`, "10.1.2.3")
	at := w.waitUntil("indexer", "reports that its successor is not used", func(at *v1alpha1.ApplicationToken) bool {
		return conditionOf(at, v1alpha1.ConditionPredecessorInUse).Reason == v1alpha1.ReasonSuccessorUnused
	})
	end := at.Status.Predecessors[0].RetiresAt.UTC().Format(time.RFC3339)
	if c := conditionOf(at, v1alpha1.ConditionPredecessorInUse); !strings.Contains(c.Message, "10.1.2.3") || !strings.Contains(c.Message, end) || !isReady(at) {
		t.Errorf("it says %s", c.Message)
	}
	w.waitEvent("indexer", "Normal PredecessorInUse: ", "no successor of it has been used")
	if !w.isAccepted(first) {
		t.Error("the predecessor is refused without evidence that its consumers moved on")
	}
	w.recordUse(w.currentDigest("indexer"), "10.1.2.3")
	w.waitAccepted("the predecessor, with evidence", first, false)
	w.waitEvent("indexer", "Normal Retired: Version 1", "Unused")
}

func TestRetire_PredecessorInUseStaysAndIsReported(t *testing.T) {
	w := newSharedTenant(t)
	first := w.declareAndRotate("indexer", `{when: Unused, minOverlap: 1s, quietPeriod: 15s, maxOverlap: 24h}`, "10.1.2.3")
	used := w.records("indexer")[1].Status.LastUsedAt.Time
	at := w.waitUntil("indexer", "reports that its predecessor is used", func(at *v1alpha1.ApplicationToken) bool {
		return conditionOf(at, v1alpha1.ConditionPredecessorInUse).Status == metav1.ConditionTrue
	})
	if c := conditionOf(at, v1alpha1.ConditionPredecessorInUse); c.Reason != v1alpha1.ReasonUsedRecently || !strings.Contains(c.Message, "10.1.2.3") || !isReady(at) {
		t.Errorf("it says %s: %s", c.Reason, c.Message)
	}
	if p := at.Status.Predecessors; len(p) != 1 || p[0].LastUsedFrom != "10.1.2.3" || !p[0].LastUsedAt.Time.Equal(used) {
		t.Errorf("the predecessors are %v", p)
	}
	if !w.isAccepted(first) {
		t.Error("the predecessor in use is refused")
	}
	w.waitEvent("indexer", "Normal PredecessorInUse: ", "10.1.2.3")

	// Once it is quiet while its successor is used from elsewhere, it is retired.
	w.recordUse(w.currentDigest("indexer"), "10.1.2.9")
	w.waitUntil("indexer", "names the source that is not seen with the successor", func(at *v1alpha1.ApplicationToken) bool {
		c := conditionOf(at, v1alpha1.ConditionPredecessorInUse)
		return strings.Contains(c.Message, "10.1.2.3") && strings.Contains(c.Message, "10.1.2.9")
	})
	w.waitUntil("indexer", "has retired it", func(at *v1alpha1.ApplicationToken) bool {
		return len(at.Status.Predecessors) == 0 && conditionOf(at, v1alpha1.ConditionPredecessorInUse).Type == ""
	})
	if early := 15*time.Second - time.Since(used); early > 0 {
		t.Errorf("it went %s before its quietPeriod was over", early)
	}
	w.waitAccepted("what went quiet", first, false)
}

func TestRetire_OverlapEndRetiresAndNamesSource(t *testing.T) {
	w := newSharedTenant(t)
	first := w.declareAndRotate("indexer", `{when: Unused, minOverlap: 1s, quietPeriod: 1h, maxOverlap: 4s}`, "192.0.2.7")
	w.waitEvent("indexer", "Warning RetiredInUse: Version 1", "192.0.2.7", "OverlapOverInUse")
	w.waitAccepted("what was used to the end", first, false)
	w.waitReady("indexer")
}

func TestRetire_AfterOverlapIgnoresUse(t *testing.T) {
	w := newSharedTenant(t)
	first := w.declareAndRotate("indexer", `{when: AfterOverlap, maxOverlap: 6s}`, "")
	superseded := w.records("indexer")[1].Spec.SupersededAt
	w.waitUntil("indexer", "has retired it", func(at *v1alpha1.ApplicationToken) bool { return len(at.Status.Predecessors) == 0 })
	if early := 6*time.Second - time.Since(superseded.Time); early > 0 {
		t.Errorf("it went %s before its overlap was over", early)
	}
	w.waitAccepted("the predecessor", first, false)
	w.waitEvent("indexer", "Normal Retired: Version 1", "OverlapOver")
}

func TestRetire_ExpiredPredecessorIsRejectedWithItsRecord(t *testing.T) { // [3.3]
	w := newSharedTenant(t)
	first := w.declareAndRotate("indexer", `{when: AfterOverlap, maxOverlap: 6s}`, "")
	end := w.records("indexer")[1].Spec.ExpiresAt
	w.eventually("the record's own end has come", func(context.Context) bool { return time.Now().After(end.Time) })
	if w.isAccepted(first) {
		t.Error("it is accepted after its end")
	}
}

func TestLastUse_IsInStatus(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	used := w.recordUse(w.currentDigest("indexer"), "203.0.113.9")
	w.waitUntil("indexer", "shows its last use", func(at *v1alpha1.ApplicationToken) bool {
		c := at.Status.Current
		return c.LastUsedFrom == "203.0.113.9" && c.LastUsedAt != nil && c.LastUsedAt.Time.Equal(used.Truncate(time.Second))
	})
	if records := w.records("indexer"); len(records) != 1 {
		t.Errorf("use made %d records", len(records))
	}
}
