package applicationtoken_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
)

func (w *fixture) userUID() string {
	w.T.Helper()
	var u v1alpha1.User
	w.Must(api.Get(w.Ctx, types.NamespacedName{Name: w.UserName()}, &u))
	return string(u.UID)
}

// A User of the same name that lists the namespace gets a version of its own. No holder of an old
// version acts for the new User.
func TestUserReplaced_EndsVersionsOfEarlierUser(t *testing.T) {
	w := newFixture(t)
	w.CreateUser(nil)
	w.Must(w.DeclareOfUser(""))
	o := w.NewOperator(api, api)
	w.Must(o.Settle())
	first := w.NewestRecord()
	if first.UserUID != w.userUID() {
		t.Fatalf("the record names the uid %q", first.UserUID)
	}
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	w.Must(o.Settle())
	second := w.NewestRecord()

	w.DeleteUser()
	w.Must(o.Settle())
	if kept := w.NewestRecord(); kept.UserUID != first.UserUID || !kept.Suspended {
		t.Errorf("without a user, the record names %q, suspended %t", kept.UserUID, kept.Suspended)
	}
	w.CreateUser(nil)
	w.Must(o.Settle())
	if now := w.NewestRecord(); now.Name() == second.Name() || now.UserUID != w.userUID() || w.RecordsLeft() != 1 {
		t.Errorf("for the namesake there are %d records, the newest of uid %q", w.RecordsLeft(), now.UserUID)
	}
}

func TestUserReplaced_RestoreKeepsTheToken(t *testing.T) {
	for name, userFirst := range map[string]bool{"the user before the token": true, "the token before the user": false} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.Now = w.Now.Add(-time.Hour) // the restore creates the record again, later than its issue
			w.CreateUser(nil)
			w.Must(w.DeclareOfUser(""))
			o := w.NewOperator(api, api)
			w.Must(o.Settle())
			issued := w.NewestRecord()
			at, r := w.Token(), &v1alpha1.TokenRecord{}
			w.Must(api.Get(w.Ctx, types.NamespacedName{Namespace: w.OwnNamespace, Name: issued.Name()}, r))
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Finalizers = nil }))
			w.Must(api.Delete(w.Ctx, at))
			w.Must(api.Delete(w.Ctx, r))
			w.DeleteUser()

			if userFirst {
				w.CreateUser(nil)
			}
			r.ObjectMeta = metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name}
			w.Must(api.Create(w.Ctx, r))
			at.ObjectMeta, at.Status = metav1.ObjectMeta{Namespace: at.Namespace, Name: at.Name}, v1alpha1.ApplicationTokenStatus{}
			w.Must(api.Create(w.Ctx, at))
			w.Must(o.Settle())
			if !userFirst {
				w.CreateUser(nil)
				w.Must(o.Settle())
			}
			if now := w.NewestRecord(); now.Name() != issued.Name() || now.UserUID != w.userUID() || now.Suspended {
				t.Errorf("restored, %s of uid %q stands for %s; suspended %t", now.Name(), now.UserUID, issued.Name(), now.Suspended)
			}

			w.DeleteUser() // the exception ends once it was used
			w.CreateUser(nil)
			w.Must(o.Settle())
			if now := w.NewestRecord(); now.Name() == issued.Name() || now.UserUID != w.userUID() {
				t.Errorf("a namesake after the restore gets %s of uid %q", now.Name(), now.UserUID)
			}
		})
	}
}
