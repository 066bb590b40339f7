package applicationtoken_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

func TestUserToken_HasGrantsOfUser(t *testing.T) {
	w := newFixture(t)
	w.createUser(nil)
	w.must(w.declareOfUser(""))
	o := w.newOperator(api, api)
	w.must(o.settle())
	w.must(w.checkInvariants())
	r := w.newestRecord()
	if r.Kind != token.UserApplication || r.User != w.userName() || r.Client != w.clientName || len(r.Roles)+len(r.Permissions) > 0 || r.Suspended || len(r.SourceRanges) != 1 {
		t.Errorf("the record is %+v", r)
	}
	var secret corev1.Secret
	w.must(api.Get(w.ctx, w.key(), &secret))
	if !strings.HasPrefix(string(secret.Data["token"]), "atu_") {
		t.Error("the Secret holds no token of a user")
	}
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonIssued || w.token().Status.Client != w.clientName {
		t.Errorf("it is %s for client %q", reason, w.token().Status.Client)
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
		"whose client is not there":       {func(u *v1alpha1.User) { u.Spec.Accounts[0].Client = "nobody" }, "", v1alpha1.ReasonClientMissing, "spec.userRef.client"},
		"who has another name":            {func(u *v1alpha1.User) { u.Name += "-2" }, "", v1alpha1.ReasonNamespaceNotGranted, "spec.userRef"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.createUser(c.user)
			w.must(w.declareOfUser(c.accountClient))
			w.must(w.newOperator(api, api).settle())
			reason, message := readiness(w.token())
			if reason != c.reason || !strings.Contains(message, c.says) {
				t.Errorf("refused as %s: %s", reason, message)
			}
			if n := w.recordsLeft(); n > 0 {
				t.Errorf("[6] %d records are there", n)
			}
		})
	}
}

// Invariants 6 and 7.
func TestUserToken_StopsWithUser(t *testing.T) {
	w := newFixture(t)
	w.createUser(nil)
	w.must(w.declareOfUser(""))
	o := w.newOperator(api, api)
	w.must(o.settle())
	issued := w.newestRecordName()
	expect := func(step, reason string, suspended bool) {
		t.Helper()
		w.must(o.settle())
		if got, _ := readiness(w.token()); got != reason {
			t.Errorf("%s: it is %s, not %s", step, got, reason)
		}
		if r := w.newestRecord(); r.Name() != issued || r.Suspended != suspended {
			t.Errorf("%s: record %s, suspended %v; want %s, %v", step, r.Name(), r.Suspended, issued, suspended)
		}
	}
	w.editUser("alice", func(u *v1alpha1.User) { u.Spec.Namespaces.Names = nil })
	expect("the namespace is no longer listed", v1alpha1.ReasonNamespaceNotGranted, true)
	w.editUser("alice", func(u *v1alpha1.User) { u.Spec.Namespaces.Names = []string{w.namespace} })
	expect("it is listed again", v1alpha1.ReasonIssued, false)
	w.editUser("alice", func(u *v1alpha1.User) { u.Spec.State = v1alpha1.StateSuspended })
	expect("the user is suspended", v1alpha1.ReasonUserSuspended, false) // verification rejects it at once
	w.must(api.Delete(w.ctx, &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: w.userName()}}))
	expect("the user is gone", v1alpha1.ReasonNamespaceNotGranted, true)
	w.createUser(func(u *v1alpha1.User) { u.Spec.Namespaces.Names = nil })
	expect("a namesake has not listed the namespace", v1alpha1.ReasonNamespaceNotGranted, true) // and no message mentions that User
}

func TestUserToken_StaysAtIssuedAccount(t *testing.T) {
	w := newFixture(t)
	other := w.otherClient()
	w.createUser(func(u *v1alpha1.User) {
		u.Spec.Accounts = append(u.Spec.Accounts, v1alpha1.Account{Client: other, Default: true})
	})
	w.must(w.declareOfUser(""))
	o := w.newOperator(api, api)
	w.must(o.settle())
	if r := w.newestRecord(); r.Client != other {
		t.Fatalf("issued at %s, not at the default account", r.Client)
	}
	w.editUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts[0].Default, u.Spec.Accounts[1].Default = true, false })
	w.must(o.settle())
	w.must(deleteSecret(w))
	w.must(o.settle())
	if r := w.newestRecord(); r.Client != other || r.Version != 2 || w.token().Status.Client != other {
		t.Errorf("version %d is at %s, the status says %s", r.Version, r.Client, w.token().Status.Client)
	}
	w.editUser("alice", func(u *v1alpha1.User) { u.Spec.Accounts = u.Spec.Accounts[:1] })
	w.must(o.settle())
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonNoAccount {
		t.Errorf("without the account it is %s", reason)
	}
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.UserRef.Client = w.clientName }))
	w.must(o.settle())
	if r := w.newestRecord(); r.Client != w.clientName || r.Version != 2 {
		t.Errorf("moved by its spec, version %d is at %s", r.Version, r.Client)
	}
}

func TestUserToken_EditToUserRefReissues(t *testing.T) {
	w := newFixture(t)
	w.createUser(nil)
	w.must(w.declareToken())
	o := w.newOperator(api, api)
	w.must(o.settle())
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) {
		at.Spec.ClientRef, at.Spec.Roles = nil, nil
		at.Spec.UserRef = &v1alpha1.UserReference{Name: v1alpha1.ObjectName(w.userName())}
	}))
	w.must(o.settle())
	w.must(w.checkInvariants())
	if r := w.newestRecord(); r.Version != 2 || r.Kind != token.UserApplication {
		t.Errorf("version %d is of kind %s", r.Version, r.Kind)
	}
	var secret corev1.Secret
	w.must(api.Get(w.ctx, w.key(), &secret))
	if !strings.HasPrefix(string(secret.Data["token"]), "atu_") {
		t.Error("the Secret holds no token of a user")
	}
}
