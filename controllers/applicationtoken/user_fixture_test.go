package applicationtoken_test

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
)

// Hashes of passwords. The marks are in the salts, and must not appear anywhere.
const (
	markedHash         = "$argon2id$v=19$m=19456,t=2,p=1$TUFSS0VETUFSS0VE$/BGV42mgj0ReTsdBvS1WrSK7eTCwppmX6dkuvJIwrds"
	otherHash          = "$argon2id$v=19$m=19456,t=2,p=1$T1RIRVJPVEhFUk9U$/BGV42mgj0ReTsdBvS1WrSK7eTCwppmX6dkuvJIwrds"
	unreadablePassword = "$argon2id$v=19$m=19456,t=99,p=1$TUFSS0VETUFSS0VE$/BGV42mgj0ReTsdBvS1WrSK7eTCwppmX6dkuvJIwrds"
	markedPlain        = "MARKEDpassword"
	usernameDomain     = "@example.com"
)

// uniqueUserName returns the name of a user of this fixture.
func (w *fixture) uniqueUserName(name string) string {
	return strings.Replace(w.namespace, "shop", name, 1)
}

// createUserWithPassword declares a user with an account at the fixture's client, and a password in
// the Secret of the same name.
func (w *fixture) createUserWithPassword(name string, twist func(*v1alpha1.User)) *v1alpha1.User {
	w.t.Helper()
	u := &v1alpha1.User{
		ObjectMeta: metav1.ObjectMeta{Name: w.uniqueUserName(name), Labels: map[string]string{"world": w.namespace}},
		Spec: v1alpha1.UserSpec{
			State:             v1alpha1.StateActive,
			PasswordSecretRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(name)},
			Accounts:          []v1alpha1.Account{{Client: w.clientName, Roles: []v1alpha1.RoleName{"second", "none"}}},
		},
	}
	if twist != nil {
		twist(u)
	}
	w.must(api.Create(w.ctx, u))
	return u
}

// setPassword writes the Secret of a password.
func (w *fixture) setPassword(name, key, value string) {
	w.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ownNamespace, Name: name}, Data: map[string][]byte{key: []byte(value)}}
	err := api.Create(w.ctx, s)
	if apierrors.IsAlreadyExists(err) {
		err = api.Update(w.ctx, s)
	}
	w.must(err)
}

func (w *fixture) getUser(name string) *v1alpha1.User {
	w.t.Helper()
	var u v1alpha1.User
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.uniqueUserName(name)}, &u))
	return &u
}

func (w *fixture) editUser(name string, change func(*v1alpha1.User)) {
	w.t.Helper()
	for {
		u := w.getUser(name)
		change(u)
		if err := api.Update(w.ctx, u); !apierrors.IsConflict(err) { // with a status update at the same time
			w.must(err)
			return
		}
	}
}

func (w *fixture) deleteUser() {
	w.t.Helper()
	w.must(api.Delete(w.ctx, &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: w.userName()}}))
}

// userName returns the name of the fixture's user.
func (w *fixture) userName() string { return strings.Replace(w.namespace, "shop", "alice", 1) }

// createUser creates the fixture's user, with one account at the fixture's client and the token's
// namespace.
func (w *fixture) createUser(change func(*v1alpha1.User)) {
	w.t.Helper()
	u := &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: w.userName()}, Spec: v1alpha1.UserSpec{
		Accounts:   []v1alpha1.Account{{Client: w.clientName, Roles: []v1alpha1.RoleName{"primary"}}},
		Namespaces: v1alpha1.UserNamespaces{Names: []string{w.namespace}},
	}}
	if change != nil {
		change(u)
	}
	w.must(api.Create(w.ctx, u))
}

// declareOfUser declares a token that acts for the fixture's user.
func (w *fixture) declareOfUser(account string) error {
	return api.Create(w.ctx, &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "indexer"},
		Spec: v1alpha1.ApplicationTokenSpec{
			UserRef:      &v1alpha1.UserReference{Name: v1alpha1.ObjectName(w.userName()), Client: account},
			SourceRanges: []v1alpha1.SourceRange{"10.0.0.0/8"},
		},
	})
}
