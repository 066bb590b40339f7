package index

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/record/kube"
)

// Indexes of the cache by which ApplicationTokens are found.
const (
	// TokensByClient finds the ApplicationTokens that act for a client.
	TokensByClient = "client"
	// TokensBySource finds the ApplicationTokens of a namespace that wait to clone another.
	TokensBySource = "source"
	// TokensByUser finds the ApplicationTokens that act for a user.
	TokensByUser = "user"
)

// Indexes of the cache by which Users are found.
const (
	// UsersByUsername finds the Users that log in with a name.
	UsersByUsername = "username"
	// UsersByPasswordSecret finds the Users whose password is in a Secret.
	UsersByPasswordSecret = "password"
	// UsersByAccount finds the Users that have an account at a client.
	UsersByAccount = "account"
)

// AddTo adds the indexes of this package, and those of the record store, to a cache.
func AddTo(ctx context.Context, indexer client.FieldIndexer) error {
	at, rec, user := &v1alpha1.ApplicationToken{}, &v1alpha1.TokenRecord{}, &v1alpha1.User{}
	for _, x := range []struct {
		of   client.Object
		name string
		by   client.IndexerFunc
	}{
		{at, TokensByClient, func(o client.Object) []string {
			return nonEmptyValue(o.(*v1alpha1.ApplicationToken).ClientName())
		}},
		{at, TokensBySource, func(o client.Object) []string {
			return nonEmptyValue(o.(*v1alpha1.ApplicationToken).SourceName())
		}},
		{at, TokensByUser, func(o client.Object) []string {
			return nonEmptyValue(o.(*v1alpha1.ApplicationToken).UserName())
		}},
		{rec, kube.IndexOwner, kube.OwnerOf},
		{rec, kube.FieldFamily, func(o client.Object) []string {
			if refresh := o.(*v1alpha1.TokenRecord).Spec.Refresh; refresh != nil {
				return []string{string(refresh.Family)}
			}
			return nil
		}},
		{user, UsersByUsername, func(o client.Object) []string { return []string{directory.UsernameOf(o.(*v1alpha1.User))} }},
		{user, UsersByPasswordSecret, func(o client.Object) []string { return passwordSecretNames(o.(*v1alpha1.User)) }},
		{user, UsersByAccount, func(o client.Object) []string { return accountClients(o.(*v1alpha1.User)) }},
	} {
		if err := indexer.IndexField(ctx, x.of, x.name, x.by); err != nil {
			return fmt.Errorf("index %s: %w", x.name, err)
		}
	}
	return nil
}

func passwordSecretNames(u *v1alpha1.User) []string {
	if u.Spec.PasswordSecretRef == nil {
		return nil
	}
	return []string{string(u.Spec.PasswordSecretRef.Name)}
}

func accountClients(u *v1alpha1.User) []string {
	var names []string
	for _, a := range u.Spec.Accounts {
		names = append(names, a.Client)
	}
	return names
}

func nonEmptyValue(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
