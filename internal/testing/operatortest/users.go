package operatortest

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
	MarkedHash         = "$argon2id$v=19$m=19456,t=2,p=1$TUFSS0VETUFSS0VE$/BGV42mgj0ReTsdBvS1WrSK7eTCwppmX6dkuvJIwrds"
	OtherHash          = "$argon2id$v=19$m=19456,t=2,p=1$T1RIRVJPVEhFUk9U$/BGV42mgj0ReTsdBvS1WrSK7eTCwppmX6dkuvJIwrds"
	UnreadablePassword = "$argon2id$v=19$m=19456,t=99,p=1$TUFSS0VETUFSS0VE$/BGV42mgj0ReTsdBvS1WrSK7eTCwppmX6dkuvJIwrds"
	MarkedPlain        = "MARKEDpassword"
	UsernameDomain     = "@example.com"
)

// UniqueUserName returns the name of a user of this fixture.
func (w *Fixture) UniqueUserName(name string) string {
	return strings.Replace(w.Namespace, "shop", name, 1)
}

// CreateUserWithPassword declares a user with an account at the fixture's client, and a password in
// the Secret of the same name.
func (w *Fixture) CreateUserWithPassword(name string, twist func(*v1alpha1.User)) *v1alpha1.User {
	w.T.Helper()
	u := &v1alpha1.User{
		ObjectMeta: metav1.ObjectMeta{Name: w.UniqueUserName(name), Labels: map[string]string{"fixture": w.Namespace}},
		Spec: v1alpha1.UserSpec{
			State:             v1alpha1.StateActive,
			PasswordSecretRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(name)},
			Accounts:          []v1alpha1.Account{{Client: w.ClientName, Roles: []v1alpha1.RoleName{"second", "none"}}},
		},
	}
	if twist != nil {
		twist(u)
	}
	w.Must(w.api.Create(w.Ctx, u))
	return u
}

// SetPassword writes the Secret of a password.
func (w *Fixture) SetPassword(name, key, value string) {
	w.T.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: name}, Data: map[string][]byte{key: []byte(value)}}
	err := w.api.Create(w.Ctx, s)
	if apierrors.IsAlreadyExists(err) {
		err = w.api.Update(w.Ctx, s)
	}
	w.Must(err)
}

// GetUser returns a user as it is now.
func (w *Fixture) GetUser(name string) *v1alpha1.User {
	w.T.Helper()
	var u v1alpha1.User
	w.Must(w.api.Get(w.Ctx, types.NamespacedName{Name: w.UniqueUserName(name)}, &u))
	return &u
}

// EditUser changes a user, and repeats after a conflict.
func (w *Fixture) EditUser(name string, change func(*v1alpha1.User)) {
	w.T.Helper()
	for {
		u := w.GetUser(name)
		change(u)
		if err := w.api.Update(w.Ctx, u); !apierrors.IsConflict(err) { // with a status update at the same time
			w.Must(err)
			return
		}
	}
}

// DeleteUser deletes the fixture's user.
func (w *Fixture) DeleteUser() {
	w.T.Helper()
	w.Must(w.api.Delete(w.Ctx, &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: w.UserName()}}))
}

// UserName returns the name of the fixture's user.
func (w *Fixture) UserName() string { return strings.Replace(w.Namespace, "shop", "alice", 1) }

// CreateUser creates the fixture's user, with one account at the fixture's client and the token's
// namespace.
func (w *Fixture) CreateUser(change func(*v1alpha1.User)) {
	w.T.Helper()
	u := &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: w.UserName()}, Spec: v1alpha1.UserSpec{
		Accounts:   []v1alpha1.Account{{Client: w.ClientName, Roles: []v1alpha1.RoleName{"primary"}}},
		Namespaces: v1alpha1.UserNamespaces{Names: []string{w.Namespace}},
	}}
	if change != nil {
		change(u)
	}
	w.Must(w.api.Create(w.Ctx, u))
}

// DeclareOfUser declares a token that acts for the fixture's user.
func (w *Fixture) DeclareOfUser(account string) error {
	return w.api.Create(w.Ctx, &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "indexer"},
		Spec: v1alpha1.ApplicationTokenSpec{
			UserRef:      &v1alpha1.UserReference{Name: v1alpha1.ObjectName(w.UserName()), Client: account},
			SourceRanges: []v1alpha1.SourceRange{"10.0.0.0/8"},
		},
	})
}
