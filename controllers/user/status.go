package user

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/tokenspec"
)

// observed holds the observed state of what a user depends on.
type observed struct {
	namespace string                      // of the operator, which holds the passwords
	secret    *corev1.Secret              // nil: there is none
	clients   map[string]*v1alpha1.Client // of the accounts, those that exist
	username  directory.Claims            // of the Users that ask for the same one
	sessions  int32
	wake      time.Time // when the first of the sessions ends
}

// setStatus sets the status from the observed state. It reads no clock and no cluster.
func setStatus(now time.Time, u *v1alpha1.User, s observed) {
	st := &u.Status
	st.ObservedGeneration = u.Generation
	st.Username = ""
	if s.username.Holder == u.Name {
		st.Username = directory.UsernameOf(u)
	}
	s.username.SetContested(&st.Conditions, u, metav1.NewTime(now),
		s.username.ContestedCondition(v1alpha1.ConditionUsernameContested, v1alpha1.ReasonUsernameClaimed, "its username"))
	st.Sessions = s.sessions
	st.Accounts = accountStatuses(u, s)
	password, form := passwordCondition(u, s)
	st.Password = form
	ready := readyCondition(u, s, password, st.Accounts)
	for _, c := range []metav1.Condition{ready, password, accountsCondition(u, s)} {
		setCondition(now, u, c)
	}
	if ready.Status == metav1.ConditionTrue {
		meta.RemoveStatusCondition(&st.Conditions, v1alpha1.ConditionStalled)
		return
	}
	ready.Type, ready.Status = v1alpha1.ConditionStalled, metav1.ConditionTrue
	setCondition(now, u, ready)
}

func setCondition(now time.Time, u *v1alpha1.User, c metav1.Condition) {
	c.ObservedGeneration, c.LastTransitionTime = u.Generation, metav1.NewTime(now)
	meta.SetStatusCondition(&u.Status.Conditions, c)
}

func trueCondition(kind, reason, format string, args ...any) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func falseCondition(kind, reason, format string, args ...any) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// accountStatuses returns the accounts at which the user can log in, with the user's roles there.
func accountStatuses(u *v1alpha1.User, s observed) []v1alpha1.AccountStatus {
	var out []v1alpha1.AccountStatus
	for _, a := range u.Spec.Accounts {
		c := s.clients[a.Client]
		if c == nil || c.Spec.State == v1alpha1.StateSuspended {
			continue
		}
		at := v1alpha1.AccountStatus{Client: a.Client, AccountID: directory.HeldAccountID(c)}
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

// readyCondition returns the Ready condition: whether the user can log in with that password at one
// of these accounts. It reports the first obstacle.
func readyCondition(u *v1alpha1.User, s observed, password metav1.Condition, accounts []v1alpha1.AccountStatus) metav1.Condition {
	const ready = v1alpha1.ConditionReady
	switch {
	case u.Spec.State == v1alpha1.StateSuspended:
		return falseCondition(ready, v1alpha1.ReasonSuspended, "Every credential of this user is rejected; set spec.state to Active to accept them again")
	case s.username.Holder != u.Name:
		return falseCondition(ready, v1alpha1.ReasonUsernameTaken, "User %s had the username %q first; choose another spec.username", s.username.Holder, directory.UsernameOf(u))
	case password.Status != metav1.ConditionTrue:
		return falseCondition(ready, password.Reason, "%s", password.Message)
	case len(u.Spec.Accounts) == 0:
		return falseCondition(ready, v1alpha1.ReasonNoAccount, "The user has no account; add one to spec.accounts")
	case len(s.clients) == 0:
		return falseCondition(ready, v1alpha1.ReasonNoAccount, "None of the Clients in spec.accounts exists: %s; create one, or correct spec.accounts", tokenspec.JoinFirst(missingClients(u, s)))
	case len(accounts) == 0:
		return falseCondition(ready, v1alpha1.ReasonNoAccount, "The Clients of all accounts are missing or suspended; add another account, or set spec.state of a Client to Active")
	}
	if usual := tokenspec.DefaultAccount(u); !slices.ContainsFunc(accounts, func(a v1alpha1.AccountStatus) bool { return a.Client == usual }) {
		return trueCondition(ready, v1alpha1.ReasonActive, "The user can log in by the account_id of an account in status.accounts; the default account, at client %s, does not accept logins", usual)
	}
	return trueCondition(ready, v1alpha1.ReasonActive, "The user can log in")
}

// passwordCondition returns a condition that reports whether there is a password to check against,
// and its form. The message repeats nothing of the password.
func passwordCondition(u *v1alpha1.User, s observed) (metav1.Condition, v1alpha1.PasswordForm) {
	const found = v1alpha1.ConditionPasswordFound
	if u.Spec.PasswordSecretRef == nil {
		return falseCondition(found, v1alpha1.ReasonPasswordMissing, "The user has no password; name a Secret of namespace %s in spec.passwordSecretRef", s.namespace), v1alpha1.PasswordMissing
	}
	name := u.Spec.PasswordSecretRef.Name
	_, _, form, problem := directory.ReadPassword(s.secret)
	switch {
	case problem != nil:
		key := directory.KeyPasswordHash
		if len(s.secret.Data[key]) == 0 {
			key = directory.KeyPassword
		}
		return falseCondition(found, v1alpha1.ReasonPasswordUnreadable, "Key %s of Secret %s: %s", key, name, problem), form
	case s.secret == nil:
		return falseCondition(found, v1alpha1.ReasonPasswordMissing, "There is no Secret %s in namespace %s; create it, or correct spec.passwordSecretRef", name, s.namespace), form
	case form == v1alpha1.PasswordMissing:
		return falseCondition(found, v1alpha1.ReasonPasswordMissing, "Secret %s has nothing in its key %s, nor in %s; put a hash of the password into the first", name, directory.KeyPasswordHash, directory.KeyPassword), form
	case form == v1alpha1.PasswordPlain:
		return trueCondition(found, v1alpha1.ReasonPasswordFound, "Secret %s holds the password in plain text, for every reader of the Secret; prefer a hash in its key %s", name, directory.KeyPasswordHash), form
	default:
		return trueCondition(found, v1alpha1.ReasonPasswordFound, "Secret %s holds a hash of the password", name), form
	}
}

// accountsCondition returns a condition that reports whether the Client of each account exists, and
// has the roles that the account names.
func accountsCondition(u *v1alpha1.User, s observed) metav1.Condition {
	const resolved = v1alpha1.ConditionAccountsResolved
	if gone := missingClients(u, s); len(gone) > 0 {
		return falseCondition(resolved, v1alpha1.ReasonAccountMissing, "There is no Client of this name: %s; create it, or remove the account from spec.accounts", tokenspec.JoinFirst(gone))
	}
	for _, a := range u.Spec.Accounts {
		unknown := slices.DeleteFunc(tokenspec.SortedStrings(a.Roles), func(name string) bool { return hasRole(s.clients[a.Client], v1alpha1.RoleName(name)) })
		if len(unknown) > 0 {
			return falseCondition(resolved, v1alpha1.ReasonOverCeiling, "Client %s has no role of this name, so the user does not have it: %s; correct spec.accounts, or add the role to the Client", a.Client, tokenspec.JoinFirst(unknown))
		}
	}
	return trueCondition(resolved, v1alpha1.ReasonAccountsResolved, "The Client of each account exists, and has its roles")
}

// missingClients returns the clients of accounts that do not exist.
func missingClients(u *v1alpha1.User, s observed) []string {
	var gone []string
	for _, a := range u.Spec.Accounts {
		if s.clients[a.Client] == nil {
			gone = append(gone, a.Client)
		}
	}
	return gone
}
