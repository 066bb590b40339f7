package controllers

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
)

// userSeen holds the observed state of what a user depends on.
type userSeen struct {
	namespace string                      // of the operator, which holds the passwords
	secret    *corev1.Secret              // nil: there is none
	clients   map[string]*v1alpha1.Client // of the accounts, those that exist
	username  claims                      // of the Users that ask for the same one
	sessions  int32
	wake      time.Time // when the first of the sessions ends
}

// describeUser sets the status from the observed state. It reads no clock and no cluster.
func describeUser(now time.Time, u *v1alpha1.User, s userSeen) {
	st := &u.Status
	st.ObservedGeneration = u.Generation
	st.Username = ""
	if s.username.holder == u.Name {
		st.Username = usernameOf(u)
	}
	s.username.setContested(&st.Conditions, u.Name, metav1.NewTime(now), u.Generation,
		s.username.contested(v1alpha1.ConditionUsernameContested, v1alpha1.ReasonUsernameClaimed, "its username"))
	st.Sessions = s.sessions
	st.Accounts = accountsOf(u, s)
	password, form := judgePassword(u, s)
	st.Password = form
	ready := judgeUser(u, s, password, st.Accounts)
	for _, c := range []metav1.Condition{ready, password, judgeAccounts(u, s)} {
		setUserCondition(now, u, c)
	}
	if ready.Status == metav1.ConditionTrue {
		meta.RemoveStatusCondition(&st.Conditions, v1alpha1.ConditionStalled)
		return
	}
	ready.Type, ready.Status = v1alpha1.ConditionStalled, metav1.ConditionTrue
	setUserCondition(now, u, ready)
}

func setUserCondition(now time.Time, u *v1alpha1.User, c metav1.Condition) {
	c.ObservedGeneration, c.LastTransitionTime = u.Generation, metav1.NewTime(now)
	meta.SetStatusCondition(&u.Status.Conditions, c)
}

func yes(kind, reason, format string, args ...any) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func no(kind, reason, format string, args ...any) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// accountsOf returns the accounts at which the user can log in, with the user's roles there.
func accountsOf(u *v1alpha1.User, s userSeen) []v1alpha1.AccountStatus {
	var out []v1alpha1.AccountStatus
	for _, a := range u.Spec.Accounts {
		c := s.clients[a.Client]
		if c == nil || c.Spec.State == v1alpha1.StateSuspended {
			continue
		}
		at := v1alpha1.AccountStatus{Client: a.Client, AccountID: heldAccountID(c)}
		for _, name := range a.Roles {
			if hasRole(c, name) {
				at.Roles = append(at.Roles, name)
			}
		}
		out = append(out, at)
	}
	return out
}

func hasRole(c *v1alpha1.Client, name v1alpha1.RoleName) bool {
	return slices.ContainsFunc(c.Spec.Roles, func(r v1alpha1.Role) bool { return r.Name == name })
}

// judgeUser returns the Ready condition: whether the user can log in with that password at one of
// these accounts. It reports the first obstacle.
func judgeUser(u *v1alpha1.User, s userSeen, password metav1.Condition, accounts []v1alpha1.AccountStatus) metav1.Condition {
	const ready = v1alpha1.ConditionReady
	switch {
	case u.Spec.State == v1alpha1.StateSuspended:
		return no(ready, v1alpha1.ReasonSuspended, "Every credential of this user is rejected; set spec.state to Active to accept them again")
	case s.username.holder != u.Name:
		return no(ready, v1alpha1.ReasonUsernameTaken, "User %s had the username %q first; choose another spec.username", s.username.holder, usernameOf(u))
	case password.Status != metav1.ConditionTrue:
		return no(ready, password.Reason, "%s", password.Message)
	case len(u.Spec.Accounts) == 0:
		return no(ready, v1alpha1.ReasonNoAccount, "The user has no account; add one to spec.accounts")
	case len(s.clients) == 0:
		return no(ready, v1alpha1.ReasonNoAccount, "None of the Clients in spec.accounts exists: %s; create one, or correct spec.accounts", few(missing(u, s)))
	case len(accounts) == 0:
		return no(ready, v1alpha1.ReasonNoAccount, "The Clients of all accounts are missing or suspended; add another account, or set spec.state of a Client to Active")
	}
	if usual := usualAccount(u); !slices.ContainsFunc(accounts, func(a v1alpha1.AccountStatus) bool { return a.Client == usual }) {
		return yes(ready, v1alpha1.ReasonActive, "The user can log in by the account_id of an account in status.accounts; the default account, at client %s, does not accept logins", usual)
	}
	return yes(ready, v1alpha1.ReasonActive, "The user can log in")
}

// usualAccount returns the client of a login that names none; empty: the user has no account.
func usualAccount(u *v1alpha1.User) string {
	a, _ := login.Usual(loginAccounts(u))
	return a.Client
}

// judgePassword returns a condition that reports whether there is a password to check against, and
// its form. The message repeats nothing of the password.
func judgePassword(u *v1alpha1.User, s userSeen) (metav1.Condition, v1alpha1.PasswordForm) {
	const found = v1alpha1.ConditionPasswordFound
	if u.Spec.PasswordSecretRef == nil {
		return no(found, v1alpha1.ReasonPasswordMissing, "The user has no password; name a Secret of namespace %s in spec.passwordSecretRef", s.namespace), v1alpha1.PasswordMissing
	}
	name := u.Spec.PasswordSecretRef.Name
	_, _, form, problem := ReadPassword(s.secret)
	switch {
	case problem != nil:
		key := KeyPasswordHash
		if len(s.secret.Data[key]) == 0 {
			key = KeyPassword
		}
		return no(found, v1alpha1.ReasonPasswordUnreadable, "Key %s of Secret %s: %s", key, name, problem), form
	case s.secret == nil:
		return no(found, v1alpha1.ReasonPasswordMissing, "There is no Secret %s in namespace %s; create it, or correct spec.passwordSecretRef", name, s.namespace), form
	case form == v1alpha1.PasswordMissing:
		return no(found, v1alpha1.ReasonPasswordMissing, "Secret %s has nothing in its key %s, nor in %s; put a hash of the password into the first", name, KeyPasswordHash, KeyPassword), form
	case form == v1alpha1.PasswordPlain:
		return yes(found, v1alpha1.ReasonPasswordFound, "Secret %s holds the password in plain text, for every reader of the Secret; prefer a hash in its key %s", name, KeyPasswordHash), form
	default:
		return yes(found, v1alpha1.ReasonPasswordFound, "Secret %s holds a hash of the password", name), form
	}
}

// judgeAccounts returns a condition that reports whether the Client of each account exists, and has
// the roles that the account names.
func judgeAccounts(u *v1alpha1.User, s userSeen) metav1.Condition {
	const resolved = v1alpha1.ConditionAccountsResolved
	if gone := missing(u, s); len(gone) > 0 {
		return no(resolved, v1alpha1.ReasonAccountMissing, "There is no Client of this name: %s; create it, or remove the account from spec.accounts", few(gone))
	}
	for _, a := range u.Spec.Accounts {
		unknown := slices.DeleteFunc(sorted(a.Roles), func(name string) bool { return hasRole(s.clients[a.Client], v1alpha1.RoleName(name)) })
		if len(unknown) > 0 {
			return no(resolved, v1alpha1.ReasonOverCeiling, "Client %s has no role of this name, so the user does not have it: %s; correct spec.accounts, or add the role to the Client", a.Client, few(unknown))
		}
	}
	return yes(resolved, v1alpha1.ReasonAccountsResolved, "The Client of each account exists, and has its roles")
}

// missing returns the clients of accounts that do not exist.
func missing(u *v1alpha1.User, s userSeen) []string {
	var gone []string
	for _, a := range u.Spec.Accounts {
		if s.clients[a.Client] == nil {
			gone = append(gone, a.Client)
		}
	}
	return gone
}
