package controllers_test

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
)

// in sets the state of a token in Kubernetes, as kubectl patch does.
func (w *world) in(t desk.Token, state v1alpha1.TokenState) {
	w.t.Helper()
	patch := []byte(`{"spec":{"state":"` + string(state) + `"}}`)
	w.must(api.Patch(w.ctx, w.made(t), client.RawPatch(types.MergePatchType, patch), client.FieldOwner("kubectl-patch")))
}

func TestSuspended_OnlyKubernetesLiftsItsStop(t *testing.T) {
	t.Parallel()
	suspended, active := desk.Change{State: new("Suspended")}, desk.Change{State: new("Active")}
	for name, x := range map[string]struct {
		before func(w *world, k *counter, t desk.Token)
		lifts  bool
	}{
		"suspended over HTTP": {func(w *world, k *counter, _ desk.Token) {
			_, err := k.Change(w.ctx, root, w.scope(), "CI_deploy", suspended)
			w.must(err)
		}, true},
		"suspended in Kubernetes": {func(w *world, _ *counter, t desk.Token) { w.in(t, v1alpha1.TokenSuspended) }, false},
		"suspended in Kubernetes, and over HTTP after it": {func(w *world, k *counter, t desk.Token) {
			w.in(t, v1alpha1.TokenSuspended)
			_, err := k.Change(w.ctx, root, w.scope(), "CI_deploy", desk.Change{State: new("Suspended"), Roles: new([]string{"second"})})
			w.must(err)
		}, false},
		"suspended over HTTP, let go on and suspended in Kubernetes": {func(w *world, k *counter, t desk.Token) {
			_, err := k.Change(w.ctx, root, w.scope(), "CI_deploy", suspended)
			w.must(err)
			w.in(t, v1alpha1.TokenActive)
			w.in(t, v1alpha1.TokenSuspended)
		}, false},
		"suspended and let go on in Kubernetes, and suspended over HTTP": {func(w *world, k *counter, t desk.Token) {
			w.in(t, v1alpha1.TokenSuspended)
			w.in(t, v1alpha1.TokenActive)
			_, err := k.Change(w.ctx, root, w.scope(), "CI_deploy", suspended)
			w.must(err)
		}, true},
		"suspended over HTTP, and applied by the platform team": {func(w *world, k *counter, t desk.Token) {
			_, err := k.Change(w.ctx, root, w.scope(), "CI_deploy", suspended)
			w.must(err)
			obj := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ApplicationToken"}}
			obj.Namespace, obj.Name = t.Namespace, t.Object
			applied := []byte(`{"apiVersion":"apptoken.dev/v1alpha1","kind":"ApplicationToken","spec":{"clientRef":{"name":"` + w.client + `"},"state":"Suspended"}}`)
			w.must(api.Patch(w.ctx, obj, client.RawPatch(types.ApplyPatchType, applied), client.FieldOwner("platform")))
		}, false},
		"suspended over HTTP, and nobody knows by whom": {func(w *world, k *counter, t desk.Token) {
			_, err := k.Change(w.ctx, root, w.scope(), "CI_deploy", suspended)
			w.must(err)
			w.must(api.Patch(w.ctx, w.made(t), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"managedFields":[{}]}}`))))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			k := w.counter(api)
			made, err := k.Create(w.ctx, root, w.scope(), ci())
			w.must(err)
			x.before(w, k, made.Token)
			_, err = k.Change(w.ctx, root, w.scope(), "CI_deploy", active)
			_, denied := errors.AsType[*desk.Denied](err)
			state := w.made(made.Token).Spec.State
			if denied == x.lifts || x.lifts && (err != nil || !w.good(made.Secret)) || (state == v1alpha1.TokenActive) != x.lifts {
				t.Errorf("let go on: %v, and the token is %s", err, state)
			}
			if x.lifts {
				return
			}
			_, rotated := k.Rotate(w.ctx, root, w.scope(), "CI_deploy", "")
			_, own := k.RotateOwn(w.ctx, root, made.Secret.Digest(), "")
			_, cloned := k.Clone(w.ctx, root, w.scope(), "CI_deploy", "copy", "")
			_, created := k.Create(w.ctx, root, w.scope(), ci())
			for what, err := range map[string]error{"rotated": rotated, "rotated by itself": own, "cloned": cloned, "made again": created} {
				if err == nil {
					t.Errorf("it was %s", what)
				}
			}
			w.in(made.Token, v1alpha1.TokenActive)
			if _, err := k.Change(w.ctx, root, w.scope(), "CI_deploy", desk.Change{}); err != nil || !w.good(made.Secret) {
				t.Errorf("let go on in Kubernetes: %v, and the token is good: %t", err, w.good(made.Secret))
			}
		})
	}
}

// The next creation of that name takes over what a crash left of one, but does not lift its
// suspension.
func TestSuspended_HalfMadeTokenIsNotTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	crash := modes[0]
	f := w.faults(2, crash) // the object exists, its record does not
	if _, err := w.counter(f.wrap(api)).Create(w.ctx, root, w.scope(), ci()); err == nil {
		t.Fatal("it was made")
	}
	var list v1alpha1.ApplicationTokenList
	w.must(api.List(w.ctx, &list, client.InNamespace(w.own)))
	if len(list.Items) != 1 {
		t.Fatalf("%d objects", len(list.Items))
	}
	w.in(desk.Token{Namespace: w.own, Object: list.Items[0].Name}, v1alpha1.TokenSuspended)
	_, err := w.counter(api).Create(w.ctx, root, w.scope(), ci())
	if _, denied := errors.AsType[*desk.Denied](err); !denied {
		t.Errorf("made: %v", err)
	}
}
