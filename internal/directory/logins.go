package directory

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
)

// LoginRecordsOf lists the records of a user's logins from a cache.
func LoginRecordsOf(ctx context.Context, from client.Reader, namespace, name string) ([]record.Record, error) {
	return kube.ListLogins(ctx, from, namespace, record.LoginQuery{User: record.Owner{Kind: login.OwnerKindUser, Name: name}}) // a User has no namespace
}
