package management_test

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// setState sets the state of a token in Kubernetes, as kubectl patch does.
func (w *fixture) setState(t management.Token, state v1alpha1.TokenState) {
	w.T.Helper()
	patch := []byte(`{"spec":{"state":"` + string(state) + `"}}`)
	w.Must(api.Patch(w.Ctx, w.ManagedObject(t), client.RawPatch(types.MergePatchType, patch), client.FieldOwner("kubectl-patch")))
}

func TestSuspended_OnlyKubernetesLiftsItsSuspension(t *testing.T) {
	t.Parallel()
	suspended, active := management.Change{State: new("Suspended")}, management.Change{State: new("Active")}
	for name, x := range map[string]struct {
		before func(w *fixture, k *operatortest.ManagementReplica, t management.Token)
		lifts  bool
	}{
		"suspended over HTTP": {func(w *fixture, k *operatortest.ManagementReplica, _ management.Token) {
			_, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", suspended)
			w.Must(err)
		}, true},
		"suspended in Kubernetes": {func(w *fixture, _ *operatortest.ManagementReplica, t management.Token) {
			w.setState(t, v1alpha1.TokenSuspended)
		}, false},
		"suspended in Kubernetes, and over HTTP after it": {func(w *fixture, k *operatortest.ManagementReplica, t management.Token) {
			w.setState(t, v1alpha1.TokenSuspended)
			_, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{State: new("Suspended"), Roles: new([]string{"second"})})
			w.Must(err)
		}, false},
		"suspended over HTTP, let go on and suspended in Kubernetes": {func(w *fixture, k *operatortest.ManagementReplica, t management.Token) {
			_, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", suspended)
			w.Must(err)
			w.setState(t, v1alpha1.TokenActive)
			w.setState(t, v1alpha1.TokenSuspended)
		}, false},
		"suspended and let go on in Kubernetes, and suspended over HTTP": {func(w *fixture, k *operatortest.ManagementReplica, t management.Token) {
			w.setState(t, v1alpha1.TokenSuspended)
			w.setState(t, v1alpha1.TokenActive)
			_, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", suspended)
			w.Must(err)
		}, true},
		"suspended over HTTP, and applied by the platform team": {func(w *fixture, k *operatortest.ManagementReplica, t management.Token) {
			_, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", suspended)
			w.Must(err)
			obj := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ApplicationToken"}}
			obj.Namespace, obj.Name = t.Namespace, t.Object
			applied := []byte(`{"apiVersion":"apptoken.dev/v1alpha1","kind":"ApplicationToken","spec":{"clientRef":{"name":"` + w.ClientName + `"},"state":"Suspended"}}`)
			w.Must(api.Patch(w.Ctx, obj, client.RawPatch(types.ApplyPatchType, applied), client.FieldOwner("platform")))
		}, false},
		"suspended over HTTP by an unknown caller": {func(w *fixture, k *operatortest.ManagementReplica, t management.Token) {
			_, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", suspended)
			w.Must(err)
			w.Must(api.Patch(w.Ctx, w.ManagedObject(t), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"managedFields":[{}]}}`))))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			k := w.NewManagementReplica(api)
			made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
			w.Must(err)
			x.before(w, k, made.Token)
			_, err = k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", active)
			_, denied := errors.AsType[*management.Denied](err)
			state := w.ManagedObject(made.Token).Spec.State
			if denied == x.lifts || x.lifts && (err != nil || !w.IsAccepted(made.Secret)) || (state == v1alpha1.TokenActive) != x.lifts {
				t.Errorf("let go on: %v, and the token is %s", err, state)
			}
			if x.lifts {
				return
			}
			_, rotated := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
			_, own := k.RotateOwn(w.Ctx, operatortest.RootCaller, made.Secret.Digest(), "")
			_, cloned := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "copy", "")
			_, created := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
			for what, err := range map[string]error{"rotated": rotated, "rotated by itself": own, "cloned": cloned, "made again": created} {
				if err == nil {
					t.Errorf("it was %s", what)
				}
			}
			w.setState(made.Token, v1alpha1.TokenActive)
			if _, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{}); err != nil || !w.IsAccepted(made.Secret) {
				t.Errorf("let go on in Kubernetes: %v, and the token is good: %t", err, w.IsAccepted(made.Secret))
			}
		})
	}
}

// The next creation of that name takes over what a crash left of one, but does not lift its
// suspension.
func TestSuspended_IncompleteTokenIsNotTakenOver(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	crash := operatortest.FaultModes[0]
	f := w.Faults(2, crash) // the object exists, its record does not
	if _, err := w.NewManagementReplica(f.Wrap(api)).Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken()); err == nil {
		t.Fatal("it was made")
	}
	var list v1alpha1.ApplicationTokenList
	w.Must(api.List(w.Ctx, &list, client.InNamespace(w.OwnNamespace)))
	if len(list.Items) != 1 {
		t.Fatalf("%d objects", len(list.Items))
	}
	w.setState(management.Token{Namespace: w.OwnNamespace, Object: list.Items[0].Name}, v1alpha1.TokenSuspended)
	_, err := w.NewManagementReplica(api).Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	if _, denied := errors.AsType[*management.Denied](err); !denied {
		t.Errorf("made: %v", err)
	}
}
