package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apptoken/operator/api/v1alpha1"
)

// Argo CD compares as a client-side apply does, Flux as a server-side apply does. Neither may find
// a difference to undo.
func TestOffer_ManifestInGitSeesNoDifference(t *testing.T) { // [3.11] [row 23]
	w := newSharedTenant(t)
	file := filepath.Join(t.TempDir(), "secret.yaml")
	manifest := `apiVersion: v1
kind: Secret
metadata:
  name: indexer
  labels: {` + v1alpha1.LabelManaged + `: "true"}
  annotations: {` + v1alpha1.AnnotationAdopt + `: indexer}
data: {user: aW5kZXhlcg==}
`
	w.must(os.WriteFile(file, []byte(manifest), 0o600))
	w.kubectl("apply", "-f", file)
	w.declareToken("indexer", `{}`)
	w.waitReady("indexer")
	d, written := w.currentDigest("indexer"), w.secret("indexer").ResourceVersion
	w.kubectl("diff", "-f", file) // fails if there is a difference
	if said := w.kubectl("apply", "-f", file); !strings.Contains(said, "unchanged") {
		t.Errorf("a client-side apply finds a difference: %s", said)
	}
	w.kubectl("apply", "--server-side", "-f", file)
	w.kubectl("diff", "--server-side", "-f", file)
	w.editToken("indexer", `{rotation: {trigger: x}}`)
	w.waitVersion("indexer", 2)
	w.kubectl("diff", "--server-side", "-f", file)
	s := w.secret("indexer")
	if w.currentDigest("indexer") == d || string(s.Data["user"]) != "indexer" || s.Annotations[v1alpha1.AnnotationAdopt] != "indexer" || s.ResourceVersion == written {
		t.Errorf("the Secret has annotations %v and %d keys", s.Annotations, len(s.Data))
	}
}
