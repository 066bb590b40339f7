package e2e_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app/options"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// manifestFile is a manifest as a team keeps it in Git.
const manifestFile = `
apiVersion: apptoken.dev/v1alpha1
kind: ApplicationToken
metadata: {name: indexer, namespace: %[1]s, labels: {app: indexer}}
spec:
  clientRef: {name: %[1]s}
  roles: [primary]
  rotation: {every: 720h, trigger: "1"}
  secret: {labels: {team: search, tier: gold}, annotations: {example.com/why: search}}
`

func TestManifest_ChangesKeepToken(t *testing.T) { // [row 23]
	w := newSharedTenant(t)
	file := filepath.Join(t.TempDir(), "token.yaml")
	w.must(os.WriteFile(file, fmt.Appendf(nil, manifestFile, w.name), 0o600))
	w.kubectl("apply", "-f", file)
	d := w.currentDigest("indexer")
	same := func(after string) *corev1.Secret {
		t.Helper()
		at := w.waitReady("indexer")
		s := w.secret(at.Status.SecretName)
		if got := w.digest(s); got != d || at.Status.Rotations != 0 || len(w.records("indexer")) != 1 {
			t.Errorf("after %s: another token, %d rotations, %d records", after, at.Status.Rotations, len(w.records("indexer")))
		}
		return s
	}
	for range 3 {
		w.kubectl("apply", "-f", file)
	}
	same("syncs of the same manifest")
	w.kubectl("apply", "--server-side", "--force-conflicts", "-f", file)
	same("a sync by server-side apply")
	w.kubectl("label", "at", "indexer", "argocd.argoproj.io/instance=shop")
	w.kubectl("annotate", "at", "indexer", "note=hello")
	same("labels and annotations on the token")

	w.editToken("indexer", `{secret: {data: {token: "{{ .Token }}", header: "Bearer {{ .Token }}"}}}`)
	w.waitReady("indexer")
	if s := same("a new key"); string(s.Data["header"]) != "Bearer "+string(s.Data["token"]) {
		t.Error("the new key is not in the Secret")
	}
	w.editToken("indexer", `{secret: {data: {header: null}}}`)
	w.waitReady("indexer")
	if s := same("a key less"); len(s.Data) != 1 {
		t.Errorf("the Secret has %d keys, not one", len(s.Data))
	}

	w.kubectl("label", "secret", "indexer", "mine=stays")
	w.editToken("indexer", `{secret: {labels: {team: find, tier: null}, annotations: {example.com/why: null, example.com/who: me}}}`)
	w.waitReady("indexer")
	s := same("other labels of the Secret")
	if _, there := s.Labels["tier"]; there || s.Labels["team"] != "find" || s.Labels["mine"] != "stays" {
		t.Errorf("the Secret's labels are %v", s.Labels)
	}
	if _, there := s.Annotations["example.com/why"]; there || s.Annotations["example.com/who"] != "me" {
		t.Errorf("the Secret's annotations are %v", s.Annotations)
	}

	w.editToken("indexer", `{roles: [writer], permissions: [search.query], sourceRanges: [192.0.2.0/24], lifetime: 8000h, rotation: {every: 100h}}`)
	same("other grants")
	w.eventually("the index knows of the other grants", func(context.Context) bool {
		who, verdict := w.verify(d)
		_, elsewhere := w.op.Index.VerifyDigest(time.Now(), token.Application, d, verify.Facts{Source: netip.MustParseAddr("198.51.100.1")})
		return verdict == verify.Valid && slices.Equal(who.Roles, []string{"writer"}) && elsewhere == verify.SourceRefused
	})

	w.editToken("indexer", `{secret: {name: renamed}}`)
	w.waitUntil("indexer", "has its Secret under the new name", func(at *v1alpha1.ApplicationToken) bool { return at.Status.SecretName == "renamed" })
	same("another name of the Secret")
	w.eventually("the Secret of the former name is gone", func(context.Context) bool { return !w.get("indexer", &corev1.Secret{}) })
	if !w.isAccepted(d) {
		t.Error("the token is refused in the end")
	}
}

func TestStart_LeavesUnchangedTokens(t *testing.T) { // [row 23]
	op := startOperator(t, defaultOptions())
	w := newTenant(t, op)
	w.declareToken("steady", `{rotation: {every: 720h, trigger: "1"}}`)
	w.declareToken("triggered", `{rotation: {trigger: "1"}}`)
	w.declareToken("robbed", `{}`)
	w.declareToken("deleted", `{}`)
	steady, triggered, robbed, deleted := w.currentDigest("steady"), w.currentDigest("triggered"), w.currentDigest("robbed"), w.currentDigest("deleted")
	before := w.waitReady("steady")
	w.must(op.stop())

	// No operator runs meanwhile.
	w.editToken("triggered", `{rotation: {trigger: "2"}}`)
	w.must(admin.Delete(t.Context(), w.secret("robbed")))
	w.must(admin.Delete(t.Context(), w.manifest("deleted", `{}`)))
	w.declareToken("fresh", `{}`)

	w.op = startOperator(t, defaultOptions())
	w.waitReady("fresh")
	w.waitVersion("triggered", 2)
	w.waitVersion("robbed", 2)
	w.eventually("what was deleted is gone", func(context.Context) bool {
		return !w.get("deleted", &v1alpha1.ApplicationToken{}) && len(w.records("deleted")) == 0
	})
	if after := w.waitReady("steady"); after.ResourceVersion != before.ResourceVersion || w.currentDigest("steady") != steady {
		t.Error("a restart has changed a token that no client changed")
	}
	if n := len(w.records("triggered")); n != 2 || !w.isAccepted(triggered) || !w.isAccepted(robbed) {
		t.Errorf("one trigger made %d records; the versions before are accepted: %t, %t", n, w.isAccepted(triggered), w.isAccepted(robbed))
	}
	w.waitAccepted("the token deleted meanwhile", deleted, false)
	w.must(w.op.stop())
}

// startOperator starts an operator of the test's own. Such tests run first, and one after the
// other.
func startOperator(t *testing.T, o options.Options) *operator {
	t.Helper()
	if commonOperator.op != nil {
		t.Fatal("the operator that tests share runs already: whatever uses it calls t.Parallel first, and so does whatever has such subtests")
	}
	op, err := runOperator(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := op.stop(); err != nil {
			t.Errorf("the operator's end: %v", err)
		}
	})
	return op
}

func TestRestore_BringsSameTokenBack(t *testing.T) { // [row 23]
	t.Parallel()
	for sentence, secretFirst := range map[string]bool{"the record before the Secret": false, "the Secret before the record": true} {
		t.Run(sentence, func(t *testing.T) {
			w := newSharedTenant(t)
			w.declareToken("indexer", `{rotation: {trigger: a}}`)
			old := w.currentDigest("indexer")
			w.editToken("indexer", `{rotation: {trigger: b}}`)
			w.waitVersion("indexer", 2)
			d := w.currentDigest("indexer")
			var at v1alpha1.ApplicationToken
			w.get("indexer", &at)
			secret, records := w.secret("indexer"), w.records("indexer")

			// A record that is created seconds after its issue comes from a backup. Garbage
			// collection then waits for its owner; it deletes a new record without an owner at
			// once.
			w.eventually("the backup has aged", func(context.Context) bool { return time.Since(records[0].Spec.IssuedAt.Time) > 4*time.Second })
			w.must(admin.Delete(t.Context(), &at))
			w.eventually("the disaster is complete", func(context.Context) bool {
				return !w.get("indexer", &v1alpha1.ApplicationToken{}) && !w.get("indexer", &corev1.Secret{}) && len(w.records("indexer")) == 0
			})
			if w.waitAccepted("the token that is gone", d, false); t.Failed() {
				return
			}
			restore := func(o client.Object) {
				t.Helper()
				o.SetResourceVersion("")
				o.SetUID(types.UID(""))
				o.SetManagedFields(nil)
				o.SetCreationTimestamp(metav1.Time{})
				w.must(admin.Create(t.Context(), o))
			}
			if secretFirst {
				restore(secret)
			}
			for i := range records {
				restore(&records[i])
			}
			if !secretFirst {
				restore(secret)
			}
			at.Status = v1alpha1.ApplicationTokenStatus{} // no tool restores the status by default
			restore(&at)

			w.waitUntil("indexer", "is Ready as before", func(at *v1alpha1.ApplicationToken) bool {
				return isReady(at) && at.Status.Rotations == 1 && len(at.Status.Predecessors) == 1
			})
			if got := w.currentDigest("indexer"); got != d || len(w.records("indexer")) != 2 {
				t.Errorf("a restore made another token, and %d records", len(w.records("indexer")))
			}
			w.waitAccepted("the restored token", d, true)
			w.waitAccepted("its predecessor", old, true)
			w.get("indexer", &at)
			for _, r := range w.records("indexer") {
				if r.Spec.Owner.UID != at.UID {
					t.Errorf("version %d belongs to the life before", r.Spec.Version)
				}
			}
			if o := metav1.GetControllerOf(w.secret("indexer")); o == nil || o.UID != at.UID {
				t.Error("the Secret belongs to the life before")
			}
		})
	}
}

func TestSecret_DeletedIsReplacedAndPredecessorStays(t *testing.T) { // [3.2]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	d := w.currentDigest("indexer")
	w.must(admin.Delete(t.Context(), w.secret("indexer")))
	at := w.waitVersion("indexer", 2)
	w.assertReplaced(at, d, "SecretMissing")
}

func TestSecret_AlteredIsReplacedAndPredecessorStays(t *testing.T) { // [3.2]
	t.Parallel()
	for sentence, data := range map[string]string{
		"by another text": `{token: bm90aGluZw==}`,
		"by nothing":      `{token: null}`,
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newSharedTenant(t)
			w.declareToken("indexer", `{}`)
			d := w.currentDigest("indexer")
			w.must(admin.Patch(t.Context(), w.secret("indexer"), mergePatch(t, "data", data)))
			at := w.waitVersion("indexer", 2)
			w.assertReplaced(at, d, "SecretAltered")
		})
	}
}

func (w *tenant) assertReplaced(at *v1alpha1.ApplicationToken, before token.Digest, why string) {
	w.Helper()
	if now := w.currentDigest("indexer"); now == before || !w.isAccepted(now) || !w.isAccepted(before) {
		w.Errorf("the new token is accepted: %t, the one before: %t", w.isAccepted(now), w.isAccepted(before))
	}
	if p := at.Status.Predecessors; len(p) != 1 || p[0].Record != before.RecordName() || p[0].RetiresAt == nil {
		w.Errorf("the predecessors are %v", p)
	}
	w.waitEvent("indexer", "Warning Reissued: ", "version 2", why)
}

func TestSecret_AddedKeyIsRemoved(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	d := w.currentDigest("indexer")
	w.must(admin.Patch(t.Context(), w.secret("indexer"), mergePatch(t, "data", `{more: eA==}`)))
	w.eventually("the key is gone", func(context.Context) bool { return len(w.secret("indexer").Data) == 1 })
	if w.currentDigest("indexer") != d || w.waitReady("indexer").Status.Rotations != 0 {
		t.Error("the token is another")
	}
}

func TestRecord_DeletionRevokesForGood(t *testing.T) { // [3.3]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	d := w.currentDigest("indexer")
	w.kubectl("delete", "tokenrecord", "-n", systemNamespace, d.RecordName())
	w.waitAccepted("the token without a record", d, false)
	w.waitVersion("indexer", 2)
	if now := w.currentDigest("indexer"); now == d || !w.isAccepted(now) {
		t.Error("there is no new version")
	}
	if records := w.records("indexer"); len(records) != 1 || records[0].Name == d.RecordName() {
		t.Errorf("there are %d records", len(records))
	}
	w.waitEvent("indexer", "Warning Reissued: ", "version 2", "RecordMissing")
}
