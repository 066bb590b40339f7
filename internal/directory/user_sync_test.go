package directory_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/verify"
)

// Each login changes the count in the status. The verifier and the login known are updated only
// when the change can matter to them.
func TestUserSync_PublishesRelevantChangesOnly(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alice := &v1alpha1.User{
		ObjectMeta: metav1.ObjectMeta{Name: "alice", UID: "first", CreationTimestamp: metav1.NewTime(noon), ResourceVersion: "1"},
		Spec: v1alpha1.UserSpec{
			State: v1alpha1.StateActive, PasswordSecretRef: &v1alpha1.Reference{Name: "alice"},
			Accounts: []v1alpha1.Account{{Client: "acme"}},
		},
	}
	secret := func(hash string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "alice"}, Data: map[string][]byte{"passwordHash": []byte(hash)}}
	}
	user := func(change func(*v1alpha1.User)) func(cache.ResourceEventHandler, cache.ResourceEventHandler) {
		return func(users, _ cache.ResourceEventHandler) {
			u := alice.DeepCopy()
			u.ResourceVersion = "2"
			change(u)
			users.OnUpdate(alice, u)
		}
	}
	for name, x := range map[string]struct {
		happens func(users, passwords cache.ResourceEventHandler)
		told    bool
		after   string // whether the user can log in, and with which password; empty: as before
	}{
		"not of a status": {happens: user(func(u *v1alpha1.User) { u.Status.Sessions = 7 })},
		"nor of a label or a finalizer": {happens: user(func(u *v1alpha1.User) {
			u.Labels, u.Finalizers = map[string]string{"a": "b"}, []string{v1alpha1.FinalizerLogins}
		})},
		"nor of what is the same": {happens: user(func(*v1alpha1.User) {})},
		"of a password, though a status came before": {func(users, passwords cache.ResourceEventHandler) {
			user(func(u *v1alpha1.User) { u.Status.Sessions = 7 })(users, passwords)
			passwords.OnUpdate(secret(operatortest.MarkedHash), secret(operatortest.OtherHash))
		}, true, "first, not suspended, other password"},
		"of a password that goes": {func(_, passwords cache.ResourceEventHandler) { passwords.OnDelete(secret(operatortest.MarkedHash)) }, true, "first, not suspended, no password"},
		"of the spec":             {user(func(u *v1alpha1.User) { u.Spec.State = v1alpha1.StateSuspended }), true, "first, suspended, same password"},
		"of another Secret":       {user(func(u *v1alpha1.User) { u.Spec.PasswordSecretRef.Name = "none" }), true, "first, not suspended, no password"},
		"of the deletion":         {user(func(u *v1alpha1.User) { u.DeletionTimestamp = new(metav1.NewTime(noon)) }), true, "first, suspended, same password"},
		"of a namesake":           {user(func(u *v1alpha1.User) { u.UID = "second" }), true, "second, not suspended, same password"},
		"of one who went and comes back": {func(users, _ cache.ResourceEventHandler) {
			users.OnDelete(alice)
			users.OnAdd(alice.DeepCopy(), false)
		}, true, ""},
		"of another age": {user(func(u *v1alpha1.User) { u.CreationTimestamp = metav1.NewTime(noon.Add(time.Hour)) }), true, ""},
	} {
		index, known := &verify.Index{}, &login.Directory{}
		index.SetClient(verify.Client{Name: "acme"})
		verifier := verify.NewVerifier(index, nil, verify.Options{LookupsPerSecond: 1, Now: func() time.Time { return noon }})
		verifier.MarkFresh()
		held := func() *verify.User {
			who, verdict := verifier.PasswordIdentity("alice", "acme", netip.Addr{})
			if verdict != verify.Valid {
				return nil
			}
			return who.User
		}
		userSync := &directory.UserSync{Index: index, Directory: known}
		users, passwords := userSync.UserHandler(), userSync.PasswordHandler()
		passwords.OnAdd(secret(operatortest.MarkedHash), true)
		users.OnAdd(alice, true)
		before := held()
		first, _ := known.User("alice")
		x.happens(users, passwords)
		if told := held() != before; told != x.told {
			t.Errorf("%s: reported is %t", name, told)
		}
		now, _ := known.User("alice")
		which := map[string]string{"": "no password", first.Credential: "same password"}[now.Credential]
		if which == "" {
			which = "other password"
		}
		state := map[bool]string{false: "not suspended", true: "suspended"}[now.Suspended]
		if x.after == "" {
			x.after = "first, not suspended, same password"
		}
		if got := fmt.Sprintf("%s, %s, %s", now.UID, state, which); got != x.after {
			t.Errorf("%s: the directory has %s, want %s", name, got, x.after)
		}
	}
}

// A login policy has limits even for what the Client leaves out.
func TestLoginPolicy_HasBoundsByDefault(t *testing.T) {
	for name, x := range map[string]struct {
		checkTokenPolicy v1alpha1.LoginPolicy
		open, session    time.Duration
	}{
		"nothing is said":                     {v1alpha1.LoginPolicy{}, 24 * time.Hour, 720 * time.Hour},
		"open tokens that end":                {v1alpha1.LoginPolicy{OpenTokens: v1alpha1.OpenTokensExpiring}, 24 * time.Hour, 720 * time.Hour},
		"open tokens without an end":          {v1alpha1.LoginPolicy{OpenTokens: v1alpha1.OpenTokensAllow}, 0, 720 * time.Hour},
		"open tokens of a longest lifetime":   {v1alpha1.LoginPolicy{OpenTokens: v1alpha1.OpenTokensAllow, MaxOpenLifetime: "48h"}, 48 * time.Hour, 720 * time.Hour},
		"a longest lifetime alone":            {v1alpha1.LoginPolicy{MaxOpenLifetime: "90m"}, 90 * time.Minute, 720 * time.Hour},
		"a longest lifetime of sessions":      {v1alpha1.LoginPolicy{MaxSessionLifetime: "12h"}, 24 * time.Hour, 12 * time.Hour},
		"refresh tokens outlive it by a year": {v1alpha1.LoginPolicy{RefreshLifetime: "8760h"}, 24 * time.Hour, 720 * time.Hour},
	} {
		index, known := &verify.Index{}, &login.Directory{}
		c := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: "acme"}, Spec: v1alpha1.ClientSpec{State: v1alpha1.StateActive, Logins: x.checkTokenPolicy}}
		directory.NewClientHandler(index, known).OnAdd(c, true)
		got, _ := known.Client("acme")
		if got.MaxOpenLifetime != x.open || got.MaxSessionLifetime != x.session {
			t.Errorf("%s: open tokens %s, sessions %s; want %s and %s", name, got.MaxOpenLifetime, got.MaxSessionLifetime, x.open, x.session)
		}
	}
}
