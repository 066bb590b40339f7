package user_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

func TestUser_StatusFollowsDependencies(t *testing.T) {
	w := newFixture(t)
	f := w.Faults(0, operatortest.FaultMode{})
	c := f.Wrap(api)
	o := w.NewUserOperator(c, c)
	w.CreateUserWithPassword("alice", func(u *v1alpha1.User) {
		u.Spec.Username = "Alice" + w.Namespace + operatortest.UsernameDomain
		u.Spec.Accounts = append(u.Spec.Accounts, v1alpha1.Account{Client: "gone-" + w.Namespace})
	})
	w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.AccountID = new(time.Now().UnixNano() & 0x7fffffff) })
	theClient := w.TheClient()
	theClient.Status.AccountID = theClient.Spec.AccountID
	w.Must(api.Status().Update(w.Ctx, theClient))
	for _, step := range []struct {
		name, want string
		password   v1alpha1.PasswordForm
		happens    func()
		event      string // "" for none
	}{
		{"at the beginning", "-PasswordMissing -PasswordMissing -AccountMissing", v1alpha1.PasswordMissing, func() {}, "Warning PasswordMissing"},
		{"the Secret appears, with neither key", "-PasswordMissing -PasswordMissing -AccountMissing", v1alpha1.PasswordMissing, func() { w.SetPassword("alice", "else", "x") }, ""},
		{"with a hash that cannot be read", "-PasswordUnreadable -PasswordUnreadable -AccountMissing", v1alpha1.PasswordUnreadable, func() { w.SetPassword("alice", "passwordHash", operatortest.UnreadablePassword) }, "Warning PasswordUnreadable"},
		{"with a good hash", "+Active +PasswordFound -AccountMissing", v1alpha1.PasswordHashed, func() { w.SetPassword("alice", "passwordHash", operatortest.MarkedHash) }, "Normal Active"},
		{"with the password itself", "+Active +PasswordFound -AccountMissing", v1alpha1.PasswordPlain, func() { w.SetPassword("alice", "password", operatortest.MarkedPlain) }, ""},
		{"suspended", "-Suspended +PasswordFound -AccountMissing", v1alpha1.PasswordPlain, func() {
			w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.State = v1alpha1.StateSuspended })
		}, "Warning Suspended"},
		{"active again", "+Active +PasswordFound -AccountMissing", v1alpha1.PasswordPlain, func() {
			w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.State = v1alpha1.StateActive })
		}, "Normal Active"},
		{"the missing client appears", "+Active +PasswordFound -OverCeiling", v1alpha1.PasswordPlain, func() {
			w.Must(api.Create(w.Ctx, &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: "gone-" + w.Namespace}}))
		}, ""},
		{"it gets the role that it lacked", "+Active +PasswordFound +AccountsResolved", v1alpha1.PasswordPlain, func() {
			w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Roles = append(c.Spec.Roles, v1alpha1.Role{Name: "none"}) })
		}, ""},
		{"and loses it", "+Active +PasswordFound -OverCeiling", v1alpha1.PasswordPlain, func() {
			w.MustEditClient(func(c *v1alpha1.Client) {
				c.Spec.Roles = slices.DeleteFunc(c.Spec.Roles, func(r v1alpha1.Role) bool { return r.Name == "none" })
			})
		}, ""},
		{"one client is suspended", "+Active +PasswordFound -OverCeiling", v1alpha1.PasswordPlain, func() {
			w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.State = v1alpha1.StateSuspended })
		}, ""},
		{"and the other is deleted", "-NoAccount +PasswordFound -AccountMissing", v1alpha1.PasswordPlain, func() {
			w.Must(api.Delete(w.Ctx, &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: "gone-" + w.Namespace}}))
		}, "Warning NoAccount"},
		{"the first is active again", "+Active +PasswordFound -AccountMissing", v1alpha1.PasswordPlain, func() {
			w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.State = v1alpha1.StateActive })
		}, "Normal Active"},
		{"no account is left", "-NoAccount +PasswordFound +AccountsResolved", v1alpha1.PasswordPlain, func() {
			w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts = nil })
		}, "Warning NoAccount"},
		{"the Secret goes", "-PasswordMissing -PasswordMissing +AccountsResolved", v1alpha1.PasswordMissing, func() {
			w.Must(api.Delete(w.Ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: "alice"}}))
		}, "Warning PasswordMissing"},
		{"no Secret is named", "-PasswordMissing -PasswordMissing +AccountsResolved", v1alpha1.PasswordMissing, func() {
			w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.PasswordSecretRef = nil })
		}, ""},
	} {
		step.happens()
		w.Now = w.Now.Add(time.Minute)
		w.Must(o.Settle())
		u := w.GetUser("alice")
		if got := conditionsOf(u); got != step.want || u.Status.Password != step.password {
			t.Fatalf("%s: %s, password %s; want %s, %s", step.name, got, u.Status.Password, step.want, step.password)
		}
		ready := meta.FindStatusCondition(u.Status.Conditions, v1alpha1.ConditionReady)
		stalled := meta.FindStatusCondition(u.Status.Conditions, v1alpha1.ConditionStalled)
		if (ready.Status == metav1.ConditionTrue) != (stalled == nil) || stalled != nil && (stalled.Status != metav1.ConditionTrue || stalled.Reason != ready.Reason) {
			t.Errorf("%s: Stalled is %v beside Ready %v", step.name, stalled, ready)
		}
		if unusual := strings.Contains(ready.Message, "the default account, at client "+w.ClientName); unusual != (step.name == "one client is suspended") {
			t.Errorf("%s: %s", step.name, ready.Message)
		}
		if neither := strings.Contains(ready.Message, "missing or suspended"); neither != (step.name == "and the other is deleted") {
			t.Errorf("%s: %s", step.name, ready.Message)
		}
		if u.Status.ObservedGeneration != u.Generation || u.Status.Username != u.Spec.Username {
			t.Errorf("%s: the status is of generation %d and of %q", step.name, u.Status.ObservedGeneration, u.Status.Username)
		}
		for _, a := range u.Status.Accounts {
			if a.Client == w.ClientName && (a.AccountID == nil || step.name != "it gets the role that it lacked" && !slices.Equal(a.Roles, []v1alpha1.RoleName{"second"})) {
				t.Errorf("%s: the account is %+v, want an id and the role that the client has", step.name, a)
			}
		}
		told := slices.DeleteFunc(o.EventReasons(), func(e string) bool { return e == "Warning AccountMissing" || e == "Warning OverCeiling" })
		if want := strings.Fields(step.event); len(want) > 0 && !slices.Equal(told, []string{step.event}) || len(want) == 0 && len(told) > 0 {
			t.Errorf("%s: the events are %q, want %q", step.name, told, step.event)
		}
		// Invariant 1, for both forms and for the error of an invalid one.
		for _, obj := range []any{u, u.Status} {
			text, err := json.Marshal(obj)
			w.Must(err)
			for _, secret := range []string{"MARKED", base64.StdEncoding.EncodeToString([]byte("MARKEDMARKED")), "BGV42mgj0ReTsdBvS1WrSK7e"} {
				if strings.Contains(string(text), secret) {
					t.Errorf("%s: the status of the user reveals the password: %s", step.name, text)
				}
			}
		}
	}
}

func TestUsername_FirstHolderKeepsIt(t *testing.T) {
	w := newFixture(t)
	f := w.Faults(0, operatortest.FaultMode{})
	c := f.Wrap(api)
	o := w.NewUserOperator(c, c)
	shared := func(u *v1alpha1.User) { u.Spec.Username = "shared" + w.Namespace }
	w.SetPassword("alice", "passwordHash", operatortest.MarkedHash)
	w.SetPassword("bob", "passwordHash", operatortest.MarkedHash)
	w.CreateUserWithPassword("alice", shared) // created within one second: the names decide
	w.CreateUserWithPassword("bob", shared)
	w.Must(o.Settle())
	if a, b := w.GetUser("alice"), w.GetUser("bob"); !strings.HasPrefix(conditionsOf(a), "+Active") || !strings.HasPrefix(conditionsOf(b), "-UsernameTaken") {
		t.Fatalf("the older is %s, the other %s", conditionsOf(a), conditionsOf(b))
	}
	w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Username = "" })
	w.Must(o.Settle())
	if got := conditionsOf(w.GetUser("bob")); !strings.HasPrefix(got, "+Active") {
		t.Errorf("once the name is free, the other is %s", got)
	}
	w.EditUser("alice", shared)
	w.Must(o.Settle())
	a, b := w.GetUser("alice"), w.GetUser("bob")
	if !strings.HasPrefix(conditionsOf(a), "-UsernameTaken") || !strings.HasPrefix(conditionsOf(b), "+Active") {
		t.Errorf("the older took the name over: it is %s, the other %s", conditionsOf(a), conditionsOf(b))
	}
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionUsernameContested); c == nil || !strings.Contains(c.Message, a.Name) {
		t.Errorf("the holder is not informed of the other: %v", b.Status.Conditions)
	}
	if a.Status.Username != "" || b.Status.Username != "shared"+w.Namespace {
		t.Errorf("the statuses say %q and %q", a.Status.Username, b.Status.Username)
	}
	w.Must(api.Delete(w.Ctx, a))
	w.Must(o.Settle())
	if b = w.GetUser("bob"); !strings.HasPrefix(conditionsOf(b), "+Active") || meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionUsernameContested) != nil {
		t.Errorf("once the older is gone, the other is %s: %v", conditionsOf(b), b.Status.Conditions)
	}
}

func TestUser_CountsLoginsUntilTheyExpire(t *testing.T) {
	w := newFixture(t)
	f := w.Faults(0, operatortest.FaultMode{})
	c := f.Wrap(api)
	o := w.NewUserOperator(c, c)
	w.SetPassword("alice", "passwordHash", operatortest.MarkedHash)
	w.CreateUserWithPassword("alice", nil)
	w.Must(o.Settle())
	s := w.NewLoginService(nil)
	w.LogIn(s, "alice", login.Terms{Kind: token.Open, Lifetime: 10 * time.Minute})
	w.LogIn(s, "alice", login.Terms{Kind: token.Login})
	for _, step := range []struct {
		after time.Duration
		want  int32
		wake  time.Duration
	}{{0, 2, 10 * time.Minute}, {10*time.Minute - time.Second, 2, 5 * time.Second}, {time.Second, 1, 50 * time.Minute}, {49 * time.Minute, 1, time.Minute}, {time.Minute, 0, 0}} {
		w.Now = w.Now.Add(step.after)
		result, err := o.Users.Reconcile(w.Ctx, w.GetUser("alice"))
		w.Must(err)
		if got := w.GetUser("alice").Status.Sessions; got != step.want || result.RequeueAfter != step.wake {
			t.Errorf("%s later %d are counted, and again after %s; want %d and %s", step.after, got, result.RequeueAfter, step.want, step.wake)
		}
	}
}

func TestUser_UnchangedStatusIsNotWritten(t *testing.T) {
	w := newFixture(t)
	f := w.Faults(0, operatortest.FaultMode{})
	c := f.Wrap(api)
	w.SetPassword("alice", "passwordHash", operatortest.MarkedHash)
	w.CreateUserWithPassword("alice", nil)
	w.Must(w.NewUserOperator(c, c).Settle())
	if n := w.Writes.Load(); n != 2 {
		t.Errorf("%d writes for a new user, want the finalizer and the status", n)
	}
	s := w.NewLoginService(nil)
	for range 5 {
		w.LogIn(s, "alice", login.Terms{Kind: token.Login})
	}
	w.Must(w.NewUserOperator(c, c).Settle())
	if n := w.Writes.Load(); n != 3 {
		t.Errorf("%d writes after five logins, want one more", n)
	}
	w.Now = w.Now.Add(login.CollectDelay + 10*time.Second)
	var reads int
	f.Before = func(int) { reads++ }
	restarted := w.NewUserOperator(operatortest.ByIndexes(t, api), c) // only its requests past the cache are counted
	for range 3 {
		w.Must(restarted.Pass())
	}
	if n := w.Writes.Load(); n != 3 || reads > 0 {
		t.Errorf("%d writes and %d reads past the cache once nothing changes", n-3, reads)
	}
}

// deleteUserWithLogins creates a user with logins and tokens, and deletes the user.
func deleteUserWithLogins(w *fixture) (logins []string) {
	w.SetPassword("alice", "passwordHash", operatortest.MarkedHash)
	w.CreateUserWithPassword("alice", nil)
	w.Must(w.NewUserOperator(api, api).Pass())
	s := w.NewLoginService(nil)
	logins = append(logins, w.LogIn(s, "alice", login.Terms{Kind: token.Login, Refreshable: true}).Record.Name(),
		w.LogIn(s, "alice", login.Terms{Kind: token.Open, Lifetime: time.Hour}).Record.Name())
	for _, x := range []struct {
		name, namespace, user string
		checkResponseDelivery v1alpha1.Delivery
	}{
		{"answered", w.OwnNamespace, "alice", v1alpha1.DeliveryResponse}, {"declared-by-admins", w.OwnNamespace, "alice", v1alpha1.DeliverySecret},
		{"declared", w.Namespace, "alice", v1alpha1.DeliverySecret}, {"of-bob", w.OwnNamespace, "bob", v1alpha1.DeliveryResponse},
	} {
		w.Must(api.Create(w.Ctx, &v1alpha1.ApplicationToken{
			ObjectMeta: metav1.ObjectMeta{Namespace: x.namespace, Name: x.name},
			Spec:       v1alpha1.ApplicationTokenSpec{UserRef: &v1alpha1.UserReference{Name: v1alpha1.ObjectName(w.UniqueUserName(x.user))}, Delivery: x.checkResponseDelivery},
		}))
	}
	w.Must(api.Delete(w.Ctx, w.GetUser("alice")))
	return logins
}

// checkUserIsGone checks that nothing is left of the user from dying, and everything of other
// users.
func checkUserIsGone(w *fixture, logins []string) error {
	if err := api.Get(w.Ctx, types.NamespacedName{Name: w.UniqueUserName("alice")}, &v1alpha1.User{}); !apierrors.IsNotFound(err) {
		return fmt.Errorf("the user is still there: %w", err)
	}
	for _, name := range logins {
		if w.HasRecord(name) {
			return fmt.Errorf("the login %s is still there", name)
		}
	}
	for key, want := range map[types.NamespacedName]bool{
		{Namespace: w.OwnNamespace, Name: "answered"}: false, {Namespace: w.OwnNamespace, Name: "declared-by-admins"}: true,
		{Namespace: w.Namespace, Name: "declared"}: true, {Namespace: w.OwnNamespace, Name: "of-bob"}: true,
	} {
		err := api.Get(w.Ctx, key, &v1alpha1.ApplicationToken{})
		if got := err == nil; got != want {
			return fmt.Errorf("ApplicationToken %s is there: %t", key.Name, got)
		}
	}
	return nil
}

// Invariant 7, and threats row 2: a user does not go before its logins have, whatever fails at
// whichever call.
func TestUser_DeletionWaitsForLoginsDespiteFaults(t *testing.T) {
	for _, m := range operatortest.FaultModes {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newFixture(t)
				logins := deleteUserWithLogins(w)
				f := w.Faults(at, m)
				f.Before = nil
				err := operatortest.ErrCrash
				for restarts := 0; errors.Is(err, operatortest.ErrCrash) && restarts < 3; restarts++ {
					f.HasCrashed = false
					c := f.Wrap(api)
					err = w.NewUserOperator(c, c).Settle()
					if gone := apierrors.IsNotFound(api.Get(w.Ctx, types.NamespacedName{Name: w.UniqueUserName("alice")}, &v1alpha1.User{})); gone {
						w.Must(checkUserIsGone(w, logins))
					}
				}
				if err := errors.Join(err, f.Verdict, checkUserIsGone(w, logins)); err != nil {
					t.Fatalf("at call %d: %v", at, err)
				}
				hit = f.Hits > 0
			}
		})
	}
}

// The first pass for a user and its first status, whatever fails.
func TestUser_FinalizerAndStatusDespiteFaults(t *testing.T) {
	for _, m := range operatortest.FaultModes {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newFixture(t)
				w.SetPassword("alice", "passwordHash", operatortest.MarkedHash)
				w.CreateUserWithPassword("alice", nil)
				f := w.Faults(at, m)
				err := operatortest.ErrCrash
				for restarts := 0; errors.Is(err, operatortest.ErrCrash) && restarts < 3; restarts++ {
					f.HasCrashed = false
					c := f.Wrap(api)
					err = w.NewUserOperator(c, c).Settle()
				}
				w.Must(errors.Join(err, f.Verdict))
				if u := w.GetUser("alice"); !strings.HasPrefix(conditionsOf(u), "+Active") || !slices.Contains(u.Finalizers, v1alpha1.FinalizerLogins) {
					t.Fatalf("at call %d: %s, held by %q", at, conditionsOf(u), u.Finalizers)
				}
				hit = f.Hits > 0
			}
		})
	}
}

// conditionsOf returns the reasons of the conditions of a user, Ready first.
func conditionsOf(u *v1alpha1.User) string {
	var out []string
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionPasswordFound, v1alpha1.ConditionAccountsResolved} {
		c := meta.FindStatusCondition(u.Status.Conditions, kind)
		if c == nil {
			out = append(out, "none")
			continue
		}
		sign := map[metav1.ConditionStatus]string{metav1.ConditionTrue: "+", metav1.ConditionFalse: "-"}[c.Status]
		out = append(out, sign+c.Reason)
	}
	return strings.Join(out, " ")
}
