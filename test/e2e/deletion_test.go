package e2e_test

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

// waitGone waits until nothing is left of a token.
func (w *tenant) waitGone(name string, digests ...token.Digest) {
	w.Helper()
	w.eventually("nothing is left of "+name, func(context.Context) bool {
		return !w.get(name, &v1alpha1.ApplicationToken{}) && len(w.records(name)) == 0 && !w.get(name, &corev1.Secret{})
	})
	for _, d := range digests {
		w.waitAccepted("a version of what is gone", d, false)
	}
}

func TestDeletion_LeavesNothingInAnyOrder(t *testing.T) { // [3.3] [3.7] [row 24]
	t.Parallel()
	type step = func(w *tenant)
	tokenGoes := func(w *tenant) { w.must(admin.Delete(w.Context(), w.manifest("indexer", `{}`))) }
	secretGoes := func(w *tenant) { w.must(client.IgnoreNotFound(admin.Delete(w.Context(), w.secret("indexer")))) }
	recordGoes := func(w *tenant) {
		for _, r := range w.records("indexer") {
			w.must(client.IgnoreNotFound(admin.Delete(w.Context(), &r)))
		}
	}
	clientGoes := func(w *tenant) {
		w.must(admin.Delete(w.Context(), &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: w.name}}))
	}
	for sentence, steps := range map[string][]step{
		"the token alone":                {tokenGoes},
		"the Secret, then the token":     {secretGoes, tokenGoes},
		"the record, then the token":     {recordGoes, tokenGoes},
		"the client, then the token":     {clientGoes, tokenGoes},
		"the token, then the client":     {tokenGoes, clientGoes},
		"the client, Secret, record":     {clientGoes, secretGoes, recordGoes, tokenGoes},
		"the record, Secret, client":     {recordGoes, secretGoes, clientGoes, tokenGoes},
		"the client, and waiting for it": {clientGoes, func(w *tenant) { w.waitUntil("indexer", "sees it", hasReason(v1alpha1.ReasonNamespaceNotGranted)) }, tokenGoes},
		"what is suspended":              {func(w *tenant) { w.editToken("indexer", `{state: Suspended}`) }, tokenGoes},
		"what is revoked":                {func(w *tenant) { w.editToken("indexer", `{state: Revoked}`) }, tokenGoes},
		"what is being renamed":          {func(w *tenant) { w.editToken("indexer", `{secret: {name: other}}`) }, tokenGoes},
		"what is being rotated":          {func(w *tenant) { w.editToken("indexer", `{rotation: {trigger: c}}`) }, tokenGoes},
		"what cannot be understood":      {func(w *tenant) { w.editToken("indexer", `{rotation: {schedule: never}}`) }, tokenGoes},
		"what was never issued":          {func(w *tenant) { w.editToken("indexer", `{roles: [developer]}`) }, tokenGoes},
		"by a client that waits for all": {func(w *tenant) {
			w.kubectl("delete", "at", "--all", "--cascade=foreground", "--timeout=60s", "--wait=false")
		}},
		"by a client that leaves children": {func(w *tenant) { w.kubectl("delete", "at", "indexer", "--cascade=orphan", "--wait=false") }},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newSharedTenant(t)
			w.declareToken("indexer", `{rotation: {trigger: a}}`)
			first := w.currentDigest("indexer")
			w.editToken("indexer", `{rotation: {trigger: b}}`)
			w.waitVersion("indexer", 2)
			second := w.currentDigest("indexer")
			for _, next := range steps {
				next(w)
			}
			w.runGarbageCollector()
			w.waitGone("indexer", first, second)
			if w.get("other", &corev1.Secret{}) {
				t.Error("its Secret of another name is left")
			}
		})
	}
}

func hasReason(want string) func(*v1alpha1.ApplicationToken) bool {
	return func(at *v1alpha1.ApplicationToken) bool {
		return conditionOf(at, v1alpha1.ConditionReady).Reason == want
	}
}

// runGarbageCollector stands in for the garbage collector, which does not run here: it removes its
// finalizers from a deleted object.
func (w *tenant) runGarbageCollector() {
	w.Helper()
	w.eventually("deletion is past the garbage collector", func(ctx context.Context) bool {
		var at v1alpha1.ApplicationToken
		if !w.get("indexer", &at) {
			return true
		}
		for i, f := range at.Finalizers {
			if f == metav1.FinalizerDeleteDependents || f == metav1.FinalizerOrphanDependents {
				before := at.DeepCopy()
				at.Finalizers = append(at.Finalizers[:i], at.Finalizers[i+1:]...)
				return admin.Patch(ctx, &at, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})) == nil
			}
		}
		return true
	})
}

func TestDeletion_NamespaceWithTokensTerminates(t *testing.T) { // [row 24]
	t.Parallel()
	drop := func(o client.Object) func(*tenant) {
		return func(w *tenant) {
			w.must(admin.DeleteAllOf(w.Context(), o.DeepCopyObject().(client.Object), client.InNamespace(w.name)))
		}
	}
	tokens, secrets, events := drop(&v1alpha1.ApplicationToken{}), drop(&corev1.Secret{}), drop(&corev1.Event{})
	noticed := func(w *tenant) {
		w.eventually("the operator has noticed", func(context.Context) bool {
			var at v1alpha1.ApplicationToken
			return !w.get("indexer", &at) || conditionOf(&at, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonSecretRefused
		})
	}
	clientGoes := func(w *tenant) {
		w.must(admin.Delete(w.Context(), &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: w.name}}))
	}
	for sentence, steps := range map[string][]func(*tenant){
		"tokens first":                      {tokens, events, secrets},
		"Secrets first":                     {secrets, events, tokens},
		"Secrets first, and time to notice": {secrets, noticed, tokens},
		"the client with the namespace":     {clientGoes, secrets, tokens},
		"triggered while it is on its way":  {func(w *tenant) { w.editToken("indexer", `{rotation: {trigger: c}}`) }, secrets, tokens},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newSharedTenant(t)
			w.declareToken("indexer", `{rotation: {trigger: a}}`)
			w.declareToken("refused", `{roles: [developer]}`)
			first := w.currentDigest("indexer")
			w.editToken("indexer", `{rotation: {trigger: b}}`)
			w.waitVersion("indexer", 2)
			second := w.currentDigest("indexer")
			w.waitRefused("refused", v1alpha1.ReasonOverCeiling)

			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
			w.must(admin.Delete(t.Context(), ns))
			for _, next := range steps {
				next(w)
			}
			w.waitGone("indexer", first, second)
			w.waitGone("refused")
			w.finalizeNamespace()
		})
	}
}

// finalizeNamespace finalizes the namespace, as the namespace controller does once the namespace is
// empty.
func (w *tenant) finalizeNamespace() {
	w.Helper()
	cs, err := kubernetes.NewForConfig(testCluster.Admin)
	w.must(err)
	ns, err := cs.CoreV1().Namespaces().Get(w.Context(), w.name, metav1.GetOptions{})
	w.must(err)
	var left v1alpha1.ApplicationTokenList
	w.must(admin.List(w.Context(), &left, client.InNamespace(w.name)))
	if ns.DeletionTimestamp.IsZero() || len(left.Items) > 0 {
		w.Fatalf("the namespace is not on its way, or %d tokens are left", len(left.Items))
	}
	ns.Spec.Finalizers = nil
	_, err = cs.CoreV1().Namespaces().Finalize(w.Context(), ns, metav1.UpdateOptions{})
	w.must(err)
	w.eventually("the namespace is gone", func(ctx context.Context) bool {
		return admin.Get(ctx, client.ObjectKey{Name: w.name}, &corev1.Namespace{}) != nil
	})
}

func TestFinalizer_ForcedRemovalLeavesNoRecord(t *testing.T) { // [3.3]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {trigger: a}}`)
	first := w.currentDigest("indexer")
	w.editToken("indexer", `{rotation: {trigger: b}}`)
	w.waitVersion("indexer", 2)
	second := w.currentDigest("indexer")
	at := w.waitReady("indexer")
	// The operator may observe it in time and add the finalizer again; in both cases nothing may be
	// left.
	w.must(admin.Patch(t.Context(), at, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
	w.must(admin.Delete(t.Context(), at))
	w.eventually("its records are garbage-collected", func(context.Context) bool { return len(w.records("indexer")) == 0 })
	w.waitAccepted("the first version", first, false)
	w.waitAccepted("the second version", second, false)
}

func TestFinalizer_RestoredAfterReplacedManifest(t *testing.T) { // [3.3]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	d := w.currentDigest("indexer")
	w.must(admin.Patch(t.Context(), w.waitReady("indexer"), mergePatch(t, "metadata", `{finalizers: [apptoken.dev/records, example.com/hold]}`)))
	w.must(admin.Patch(t.Context(), w.waitReady("indexer"), mergePatch(t, "metadata", `{finalizers: [example.com/hold]}`)))
	w.waitUntil("indexer", "has the finalizer again", func(at *v1alpha1.ApplicationToken) bool {
		return slices.Contains(at.Finalizers, v1alpha1.FinalizerRecords)
	})
	w.must(admin.Patch(t.Context(), w.waitReady("indexer"), mergePatch(t, "metadata", `{finalizers: [apptoken.dev/records]}`)))
	if w.currentDigest("indexer") != d {
		t.Error("the token is another")
	}
	w.kubectl("delete", "at", "indexer")
	w.waitGone("indexer", d)
}

func TestDeletion_NamesakeInheritsNothing(t *testing.T) { // [3.3] [3.6]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{roles: [primary, writer]}`)
	d := w.currentDigest("indexer")
	w.kubectl("delete", "at", "indexer")
	w.declareToken("indexer", `{roles: [primary]}`)
	now := w.currentDigest("indexer")
	records := w.records("indexer")
	if now == d || w.isAccepted(d) || len(records) != 1 || len(records[0].Spec.Roles) != 1 || records[0].Spec.Version != 1 {
		t.Errorf("the namesake has %d records; the token of its predecessor is accepted: %t", len(records), w.isAccepted(d))
	}

	// The same holds if only the Secret of the predecessor is left, since no garbage collector runs
	// here.
	old := w.secret("indexer")
	w.kubectl("delete", "at", "indexer")
	w.waitGone("indexer", now)
	old.ResourceVersion, old.UID = "", ""
	w.must(admin.Create(t.Context(), old))
	w.declareToken("indexer", `{}`)
	w.waitRefused("indexer", v1alpha1.ReasonSecretTaken)
	if w.isAccepted(now) {
		t.Error("a Secret without a record brought a token back")
	}
	w.must(admin.Delete(t.Context(), w.secret("indexer")))
	if again := w.currentDigest("indexer"); again == now {
		t.Error("the namesake has the same token")
	}
}

func TestDeletion_KeepsOfferedSecret(t *testing.T) { // [3.11]
	w := newSharedTenant(t)
	s := w.foreignSecret("indexer", func(s *corev1.Secret) {
		s.Labels = map[string]string{v1alpha1.LabelManaged: "true"}
		s.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "indexer"}
	})
	w.declareToken("indexer", `{clientRef: {name: absent}}`)
	w.waitRefused("indexer", v1alpha1.ReasonNamespaceNotGranted)
	w.editToken("indexer", `{state: Revoked}`)
	w.waitRefused("indexer", v1alpha1.ReasonRevoked)
	w.assertUntouched(s)
	w.kubectl("delete", "at", "indexer")
	w.assertUntouched(s)
}
