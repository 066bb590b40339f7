package tokenspec

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// kindFor returns the kind of the versions of a token; 0: its client and user are unknown.
func kindFor(a RequestedGrants) token.Kind {
	switch {
	case a.User != "":
		return token.UserApplication
	case a.Client != "":
		return token.Application
	default:
		return 0
	}
}

// ResolveUser returns the user that a token acts for, and what the token asks for. The user is nil
// if there is none for this namespace.
func (l Resolver) ResolveUser(ctx context.Context, at *v1alpha1.ApplicationToken, answered bool) (*v1alpha1.User, RequestedGrants, error) {
	a := RequestedGrants{User: string(at.Spec.UserRef.Name), SourceRanges: SortedStrings(at.Spec.SourceRanges)}
	// A later User of the same name inherits nothing. A User that does not list the namespace
	// counts as missing: the namespace learns nothing about the user, the default account included.
	serves := func(u *v1alpha1.User) bool {
		return u.DeletionTimestamp.IsZero() && IsTokenOfUser(at, u) && (answered || slices.Contains(u.Spec.Namespaces.Names, at.Namespace))
	}
	user, key := &v1alpha1.User{}, types.NamespacedName{Name: a.User}
	err := l.Client.Get(ctx, key, user)
	if apierrors.IsNotFound(err) || err == nil && !serves(user) {
		user = &v1alpha1.User{}
		err = l.Live.Get(ctx, key, user) // it may have been applied together with the token; see findClient
	}
	records, recordsErr := l.Records.ListByOwner(ctx, OwnerOf(at))
	if recordsErr != nil {
		return nil, a, recordsErr
	}
	if err == nil && slices.ContainsFunc(records, func(r record.Record) bool { return r.User == a.User && r.UserUID != string(user.UID) }) {
		user = &v1alpha1.User{}
		err = l.Live.Get(ctx, key, user) // the credentials of a User end on this result, and the cache may have another User of this name
	}
	switch {
	case apierrors.IsNotFound(err):
		user = nil
	case err != nil:
		return nil, a, fmt.Errorf("get User %s: %w", a.User, err)
	case !serves(user):
		user = nil
	}
	a.Client = accountClient(at, user, records)
	return user, a, nil
}

// IsTokenOfUser reports whether a user is the one that a token was made for. A token without an
// owner reference was made for a name, and any user of that name matches.
func IsTokenOfUser(at *v1alpha1.ApplicationToken, u *v1alpha1.User) bool {
	for _, o := range at.OwnerReferences {
		if o.APIVersion == v1alpha1.GroupVersion.String() && o.Kind == login.OwnerKindUser && o.Name == u.Name {
			return o.UID == u.UID
		}
	}
	return true
}

// accountClient returns the client at which a token acts for its user: the client that the spec
// names, or otherwise that of the newest version, so that the token stays there. A token without
// versions gets the default account of a user who serves the namespace. account returns "" if there
// is none.
func accountClient(at *v1alpha1.ApplicationToken, u *v1alpha1.User, records []record.Record) string {
	if name := at.Spec.UserRef.Client; name != "" {
		return name
	}
	newest := -1
	for i, r := range records {
		ours := r.Owner.UID == string(at.UID) || u == nil // a restored record keeps its client until the user is restored
		if ours && r.User == string(at.Spec.UserRef.Name) && (newest < 0 || r.Version > records[newest].Version) {
			newest = i
		}
	}
	switch {
	case newest >= 0:
		return records[newest].Client
	case HasVersion(at) || at.Status.SecretName != "":
		return at.Status.Client
	case u == nil:
		return ""
	}
	return DefaultAccount(u)
}

// userGrants returns the grants of a token that acts for a user, which has at each verification
// what the user has then. It also reports whether the namespace may use the user.
func userGrants(at *v1alpha1.ApplicationToken, s References, refuse refuseFunc) (g *plan.Grants, entitled bool) {
	name := s.Requested.User
	switch {
	case s.user == nil && s.DeliveredInResponse:
		refuse(v1alpha1.ReasonUserMissing, "There is no User %q; correct spec.userRef, ask the platform team to create it, or name a client in spec.clientRef instead", name)
	case s.user == nil:
		refuse(v1alpha1.ReasonNamespaceNotGranted, "Namespace %s may not use User %q: it does not exist, or does not list this namespace; correct spec.userRef, ask the platform team to add the namespace to spec.namespaces.names of the User, or name a client in spec.clientRef instead", at.Namespace, name)
	case s.user.Spec.State == v1alpha1.StateSuspended:
		refuse(v1alpha1.ReasonUserSuspended, "User %s is suspended, and every token of it is rejected; the platform team can set its spec.state to Active", name)
	}
	if s.user != nil && !slices.ContainsFunc(s.user.Spec.Accounts, func(a v1alpha1.Account) bool { return a.Client == s.Requested.Client }) {
		which := "no account at all"
		if s.Requested.Client != "" {
			which = "no account at client " + s.Requested.Client
		}
		refuse(v1alpha1.ReasonNoAccount, "User %s has %s; correct spec.userRef.client, or ask the platform team to add the account", name, which)
	}
	if len(at.Spec.Roles) > 0 || len(at.Spec.Permissions) > 0 {
		refuse(v1alpha1.ReasonInvalidSpec, "A token of a user has what the user has; remove spec.roles and spec.permissions")
	}
	return &plan.Grants{Client: s.Requested.Client, User: name, SourceRanges: s.Requested.SourceRanges}, s.user != nil
}

// DefaultAccount returns the client of a login that names none; empty: the user has no account.
func DefaultAccount(u *v1alpha1.User) string {
	a, _ := login.DefaultAccount(LoginAccounts(u))
	return a.Client
}

// LoginAccounts returns the accounts of a user in the form that logins use.
func LoginAccounts(u *v1alpha1.User) []login.Account {
	var all []login.Account
	for _, a := range u.Spec.Accounts {
		all = append(all, login.Account{Client: a.Client, Default: a.Default})
	}
	return all
}
