package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
)

// The watch, the rights and the policies let the operator restore its marks, whichever of them
// another tool removes.
func TestMarks_EverySubsetIsPutBack(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{secret: {labels: {team: search}}}`)
	w.waitReady("indexer")
	d := w.currentDigest("indexer")
	owned := func(s *corev1.Secret) bool {
		var at v1alpha1.ApplicationToken
		return w.get("indexer", &at) && metav1.IsControlledBy(s, &at) && s.Labels[v1alpha1.LabelManaged] == "true" &&
			s.Labels[v1alpha1.LabelToken] == "indexer" && s.Annotations[v1alpha1.AnnotationRecord] == d.RecordName()
	}
	for subset := 1; subset < 1<<4; subset++ {
		var patch []string
		for i, field := range []string{
			`"labels":{"apptoken.dev/managed":null}`, `"labels":{"apptoken.dev/token":null}`, `"annotations":null`, `"ownerReferences":null`,
		} {
			if subset&(1<<i) != 0 {
				patch = append(patch, field)
			}
		}
		text := strings.ReplaceAll(strings.Join(patch, ","), `null},"labels":{`, `null,`)
		w.must(admin.Patch(t.Context(), w.secret("indexer"), mergePatch(t, "metadata", `{`+text+`}`)))
		w.eventually(fmt.Sprintf("the marks are back: %s", text), func(context.Context) bool { return owned(w.secret("indexer")) })
		if at := w.waitReady("indexer"); w.currentDigest("indexer") != d || at.Status.Rotations != 0 || len(w.records("indexer")) != 1 {
			t.Fatalf("%s: another token, %d rotations, %d records", text, at.Status.Rotations, len(w.records("indexer")))
		}
	}
	if !w.isAccepted(d) {
		t.Error("the token is refused in the end")
	}
}

// kubectl replace writes a Secret as in the manifest, so that no mark is left.
func TestMarks_ReplaceKeepsTheToken(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	d := w.currentDigest("indexer")
	bare := w.secret("indexer")
	bare.ObjectMeta = metav1.ObjectMeta{Namespace: bare.Namespace, Name: bare.Name}
	w.must(admin.Update(t.Context(), bare))
	w.eventually("the marks are back", func(context.Context) bool {
		s := w.secret("indexer")
		return s.Labels[v1alpha1.LabelManaged] == "true" && len(s.OwnerReferences) == 1
	})
	if at := w.waitReady("indexer"); w.currentDigest("indexer") != d || at.Status.Rotations != 0 || len(w.records("indexer")) != 1 || !w.isAccepted(d) {
		t.Error("the token is another, or refused")
	}
}
