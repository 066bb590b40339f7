package applicationtoken_test

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/watch"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

func TestFinalizer_LossEnqueuesToken(t *testing.T) {
	const own, other = v1alpha1.FinalizerRecords, "example.com/hold"
	for name, c := range map[string]struct {
		before, after []string
		wakes         bool
	}{
		"it is removed":            {[]string{own}, nil, true},
		"another takes its place":  {[]string{own}, []string{other}, true},
		"two others are added too": {[]string{own}, []string{other, "example.com/b"}, true},
		"it is added":              {nil, []string{own}, false},
		"another is added":         {[]string{own}, []string{own, other}, false},
		"their order changes":      {[]string{own, other}, []string{other, own}, false},
	} {
		e := event.UpdateEvent{
			ObjectOld: &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Finalizers: c.before}},
			ObjectNew: &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Finalizers: c.after}},
		}
		if got := watch.SpecChanged.Update(e); got != c.wakes {
			t.Errorf("%s: it wakes: %t", name, got)
		}
	}
}

func TestFinalizer_LostIsRestored(t *testing.T) {
	for name, c := range map[string]struct {
		state func(*v1alpha1.ApplicationToken)
	}{
		"of an active token":     {func(*v1alpha1.ApplicationToken) {}},
		"of a suspended token":   {func(at *v1alpha1.ApplicationToken) { at.Spec.State = v1alpha1.TokenSuspended }},
		"of one that is refused": {func(at *v1alpha1.ApplicationToken) { at.Spec.Roles = []v1alpha1.RoleName{"unknown"} }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.Must(w.DeclareToken())
			o := w.startCounting()
			w.Must(o.Settle())
			issued := w.secretText()
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { c.state(at); at.Finalizers = []string{"example.com/hold"} }))
			w.Must(o.Settle())
			at := w.Token()
			if !slices.Contains(at.Finalizers, v1alpha1.FinalizerRecords) || !slices.Contains(at.Finalizers, "example.com/hold") {
				t.Errorf("the finalizers are %v", at.Finalizers)
			}
			if w.secretText() != issued || w.RecordsLeft() != 1 {
				t.Error("the token is another")
			}
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
				at.Finalizers = slices.DeleteFunc(at.Finalizers, func(f string) bool { return f == "example.com/hold" })
			}))
			w.Must(api.Delete(w.Ctx, w.Token()))
			w.Must(o.Settle())
			if n := w.RecordsLeft(); n != 0 {
				t.Errorf("%d records are left", n)
			}
		})
	}
}

// A restore brings ApplicationTokens back without finalizers, and issues nothing.
func TestFinalizer_RestoredTokenGetsOne(t *testing.T) {
	w := newFixture(t)
	w.declareClone()
	o := w.startCounting()
	w.Must(o.Settle())
	b := w.backUpAndDelete()
	for _, object := range []string{"record", "secret", "source", "clone"} {
		b.restore(object)
	}
	w.Must(o.Settle())
	if at := w.Token(); !slices.Contains(at.Finalizers, v1alpha1.FinalizerRecords) {
		t.Errorf("the finalizers are %v", at.Finalizers)
	}
}

func TestDeletion_ForgetsTokenWithoutFinalizer(t *testing.T) {
	const hold = "example.com/hold"
	for name, goes := range map[string]func(w *fixture, o *operatortest.Operator){
		"another finalizer holds it": func(w *fixture, o *operatortest.Operator) {
			w.Must(api.Delete(w.Ctx, w.Token()))
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Finalizers = []string{hold} }))
			w.Must(o.Settle())
		},
		"it is deleted before a reconcile": func(w *fixture, o *operatortest.Operator) {
			o.Tokens.ForgetDeleted().Delete(w.Ctx, event.DeleteEvent{Object: w.Token()}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.manifestSyncs()["replace"](nil)
			w.Must(w.DeclareToken())
			o := w.NewOperator(api, api)
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Finalizers = []string{hold} }))
			w.Must(o.Settle())
			at := w.Token()
			if !o.Tokens.KeepsToken(at) {
				t.Fatal("the plaintext of a Secret that is offered is not kept")
			}
			goes(w, o)
			if o.Tokens.KeepsToken(at) {
				t.Error("the plaintext of a deleted token is kept")
			}
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Finalizers = nil }))
		})
	}
}
