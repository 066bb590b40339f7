package index

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/record/kube"
)

// IndexUsername finds the Users that log in with a name.
const IndexUsername = "username"

// IndexPassword finds the Users whose password is in a Secret.
const IndexPassword = "password"

// IndexAccount finds the Users that have an account at a client.
const IndexAccount = "account"

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

// IndexClient finds the ApplicationTokens that act for a client.
const IndexClient = "client"

// IndexSource finds the ApplicationTokens of a namespace that wait to clone another.
const IndexSource = "source"

// IndexUser finds the ApplicationTokens that act for a user.
const IndexUser = "user"

// IndexFields adds the indexes that the reconcilers list by.
func IndexFields(ctx context.Context, indexer client.FieldIndexer) error {
	at, rec, user := &v1alpha1.ApplicationToken{}, &v1alpha1.TokenRecord{}, &v1alpha1.User{}
	for _, x := range []struct {
		of   client.Object
		name string
		by   client.IndexerFunc
	}{
		{at, IndexClient, func(o client.Object) []string {
			return nonEmptyValue(o.(*v1alpha1.ApplicationToken).ClientName())
		}},
		{at, IndexSource, func(o client.Object) []string {
			return nonEmptyValue(o.(*v1alpha1.ApplicationToken).SourceName())
		}},
		{at, IndexUser, func(o client.Object) []string {
			return nonEmptyValue(o.(*v1alpha1.ApplicationToken).UserName())
		}},
		{rec, kube.IndexOwner, kube.OwnerOf},
		{rec, kube.FieldFamily, func(o client.Object) []string {
			if refresh := o.(*v1alpha1.TokenRecord).Spec.Refresh; refresh != nil {
				return []string{string(refresh.Family)}
			}
			return nil
		}},
		{user, IndexUsername, func(o client.Object) []string { return []string{directory.UsernameOf(o.(*v1alpha1.User))} }},
		{user, IndexPassword, func(o client.Object) []string { return passwordSecretNames(o.(*v1alpha1.User)) }},
		{user, IndexAccount, func(o client.Object) []string { return accountClients(o.(*v1alpha1.User)) }},
	} {
		if err := indexer.IndexField(ctx, x.of, x.name, x.by); err != nil {
			return fmt.Errorf("index %s: %w", x.name, err)
		}
	}
	return nil
}

func nonEmptyValue(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
