package applicationtoken_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

func TestUserToken_HasGrantsOfUser(t *testing.T) {
	w := newFixture(t)
	w.CreateUser(nil)
	w.Must(w.DeclareOfUser(""))
	o := w.NewOperator(api, api)
	w.Must(o.Settle())
	w.Must(w.CheckInvariants())
	r := w.NewestRecord()
	if r.Kind != token.UserApplication || r.User != w.UserName() || r.Client != w.ClientName || len(r.Roles)+len(r.Permissions) > 0 || r.Suspended || len(r.SourceRanges) != 1 {
		t.Errorf("the record is %+v", r)
	}
	var secret corev1.Secret
	w.Must(api.Get(w.Ctx, w.Key(), &secret))
	if !strings.HasPrefix(string(secret.Data["token"]), "atu_") {
		t.Error("the Secret holds no token of a user")
	}
	if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonIssued || w.Token().Status.Client != w.ClientName {
		t.Errorf("it is %s for client %q", reason, w.Token().Status.Client)
	}
}

func TestUserToken_RefusedWithoutUsableUser(t *testing.T) {
	for name, c := range map[string]struct {
		user          func(*v1alpha1.User)
		accountClient string
		reason        string
		says          string
	}{
		"who does not list the namespace": {func(u *v1alpha1.User) { u.Spec.Namespaces.Names = []string{"another"} }, "", v1alpha1.ReasonNamespaceNotGranted, "spec.namespaces.names"},
		"who is suspended":                {func(u *v1alpha1.User) { u.Spec.State = v1alpha1.StateSuspended }, "", v1alpha1.ReasonUserSuspended, "spec.state"},
		"who has no such account":         {nil, "elsewhere", v1alpha1.ReasonNoAccount, "no account at client elsewhere"},
		"who has no account":              {func(u *v1alpha1.User) { u.Spec.Accounts = nil }, "", v1alpha1.ReasonNoAccount, "no account at all"},
		"whose client is not there":       {func(u *v1alpha1.User) { u.Spec.Accounts[0].Client = "absent" }, "", v1alpha1.ReasonClientMissing, "spec.userRef.client"},
		"who has another name":            {func(u *v1alpha1.User) { u.Name += "-2" }, "", v1alpha1.ReasonNamespaceNotGranted, "spec.userRef"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.CreateUser(c.user)
			w.Must(w.DeclareOfUser(c.accountClient))
			w.Must(w.NewOperator(api, api).Settle())
			reason, message := operatortest.Readiness(w.Token())
			if reason != c.reason || !strings.Contains(message, c.says) {
				t.Errorf("refused as %s: %s", reason, message)
			}
			if n := w.RecordsLeft(); n > 0 {
				t.Errorf("[6] %d records are there", n)
			}
		})
	}
}

// Invariants 6 and 7.
func TestUserToken_StopsWithUser(t *testing.T) {
	w := newFixture(t)
	w.CreateUser(nil)
	w.Must(w.DeclareOfUser(""))
	o := w.NewOperator(api, api)
	w.Must(o.Settle())
	issued := w.NewestRecordName()
	expect := func(step, reason string, suspended bool) {
		t.Helper()
		w.Must(o.Settle())
		if got, _ := operatortest.Readiness(w.Token()); got != reason {
			t.Errorf("%s: it is %s, not %s", step, got, reason)
		}
		if r := w.NewestRecord(); r.Name() != issued || r.Suspended != suspended {
			t.Errorf("%s: record %s, suspended %v; want %s, %v", step, r.Name(), r.Suspended, issued, suspended)
		}
	}
	w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Namespaces.Names = nil })
	expect("the namespace is no longer listed", v1alpha1.ReasonNamespaceNotGranted, true)
	w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Namespaces.Names = []string{w.Namespace} })
	expect("it is listed again", v1alpha1.ReasonIssued, false)
	w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.State = v1alpha1.StateSuspended })
	expect("the user is suspended", v1alpha1.ReasonUserSuspended, false) // verification rejects it at once
	w.Must(api.Delete(w.Ctx, &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: w.UserName()}}))
	expect("the user is gone", v1alpha1.ReasonNamespaceNotGranted, true)
	w.CreateUser(func(u *v1alpha1.User) { u.Spec.Namespaces.Names = nil })
	expect("a namesake has not listed the namespace", v1alpha1.ReasonNamespaceNotGranted, true) // and no message mentions that User
}

func TestUserToken_StaysAtIssuedAccount(t *testing.T) {
	w := newFixture(t)
	other := w.OtherClient()
	w.CreateUser(func(u *v1alpha1.User) {
		u.Spec.Accounts = append(u.Spec.Accounts, v1alpha1.Account{Client: other, Default: true})
	})
	w.Must(w.DeclareOfUser(""))
	o := w.NewOperator(api, api)
	w.Must(o.Settle())
	if r := w.NewestRecord(); r.Client != other {
		t.Fatalf("issued at %s, not at the default account", r.Client)
	}
	w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts[0].Default, u.Spec.Accounts[1].Default = true, false })
	w.Must(o.Settle())
	w.Must(deleteSecret(w))
	w.Must(o.Settle())
	if r := w.NewestRecord(); r.Client != other || r.Version != 2 || w.Token().Status.Client != other {
		t.Errorf("version %d is at %s, the status says %s", r.Version, r.Client, w.Token().Status.Client)
	}
	w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts = u.Spec.Accounts[:1] })
	w.Must(o.Settle())
	if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonNoAccount {
		t.Errorf("without the account it is %s", reason)
	}
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.UserRef.Client = w.ClientName }))
	w.Must(o.Settle())
	if r := w.NewestRecord(); r.Client != w.ClientName || r.Version != 2 {
		t.Errorf("moved by its spec, version %d is at %s", r.Version, r.Client)
	}
}

func TestUserToken_EditToUserRefReissues(t *testing.T) {
	w := newFixture(t)
	w.CreateUser(nil)
	w.Must(w.DeclareToken())
	o := w.NewOperator(api, api)
	w.Must(o.Settle())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
		at.Spec.ClientRef, at.Spec.Roles = nil, nil
		at.Spec.UserRef = &v1alpha1.UserReference{Name: v1alpha1.ObjectName(w.UserName())}
	}))
	w.Must(o.Settle())
	w.Must(w.CheckInvariants())
	if r := w.NewestRecord(); r.Version != 2 || r.Kind != token.UserApplication {
		t.Errorf("version %d is of kind %s", r.Version, r.Kind)
	}
	var secret corev1.Secret
	w.Must(api.Get(w.Ctx, w.Key(), &secret))
	if !strings.HasPrefix(string(secret.Data["token"]), "atu_") {
		t.Error("the Secret holds no token of a user")
	}
}
