package applicationtoken_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
)

func (w *fixture) userUID() string {
	w.t.Helper()
	var u v1alpha1.User
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.userName()}, &u))
	return string(u.UID)
}

// A User of the same name that lists the namespace gets a version of its own. No holder of an old
// version acts for the new User.
func TestUserReplaced_EndsVersionsOfEarlierUser(t *testing.T) {
	w := newFixture(t)
	w.createUser(nil)
	w.must(w.declareOfUser(""))
	o := w.newOperator(api, api)
	w.must(o.settle())
	first := w.newestRecord()
	if first.UserUID != w.userUID() {
		t.Fatalf("the record names the uid %q", first.UserUID)
	}
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	w.must(o.settle())
	second := w.newestRecord()

	w.deleteUser()
	w.must(o.settle())
	if kept := w.newestRecord(); kept.UserUID != first.UserUID || !kept.Suspended {
		t.Errorf("without a user, the record names %q, suspended %t", kept.UserUID, kept.Suspended)
	}
	w.createUser(nil)
	w.must(o.settle())
	if now := w.newestRecord(); now.Name() == second.Name() || now.UserUID != w.userUID() || w.recordsLeft() != 1 {
		t.Errorf("for the namesake there are %d records, the newest of uid %q", w.recordsLeft(), now.UserUID)
	}
}

func TestUserReplaced_RestoreKeepsTheToken(t *testing.T) {
	for name, userFirst := range map[string]bool{"the user before the token": true, "the token before the user": false} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.now = w.now.Add(-time.Hour) // the restore creates the record again, later than its issue
			w.createUser(nil)
			w.must(w.declareOfUser(""))
			o := w.newOperator(api, api)
			w.must(o.settle())
			issued := w.newestRecord()
			at, r := w.token(), &v1alpha1.TokenRecord{}
			w.must(api.Get(w.ctx, types.NamespacedName{Namespace: w.ownNamespace, Name: issued.Name()}, r))
			w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Finalizers = nil }))
			w.must(api.Delete(w.ctx, at))
			w.must(api.Delete(w.ctx, r))
			w.deleteUser()

			if userFirst {
				w.createUser(nil)
			}
			r.ObjectMeta = metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name}
			w.must(api.Create(w.ctx, r))
			at.ObjectMeta, at.Status = metav1.ObjectMeta{Namespace: at.Namespace, Name: at.Name}, v1alpha1.ApplicationTokenStatus{}
			w.must(api.Create(w.ctx, at))
			w.must(o.settle())
			if !userFirst {
				w.createUser(nil)
				w.must(o.settle())
			}
			if now := w.newestRecord(); now.Name() != issued.Name() || now.UserUID != w.userUID() || now.Suspended {
				t.Errorf("restored, %s of uid %q stands for %s; suspended %t", now.Name(), now.UserUID, issued.Name(), now.Suspended)
			}

			w.deleteUser() // the exception ends once it was used
			w.createUser(nil)
			w.must(o.settle())
			if now := w.newestRecord(); now.Name() == issued.Name() || now.UserUID != w.userUID() {
				t.Errorf("a namesake after the restore gets %s of uid %q", now.Name(), now.UserUID)
			}
		})
	}
}
