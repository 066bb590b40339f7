package directory

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
)

// LoginRecordsOf lists the records of a user's logins from a cache. It leaves out a record that
// cannot be parsed, which makes no credential valid.
func LoginRecordsOf(ctx context.Context, from client.Reader, namespace, name string) ([]record.Record, error) {
	var list v1alpha1.TokenRecordList
	err := from.List(ctx, &list, client.InNamespace(namespace), kube.OwnedBy("", name), // a User has no namespace
		client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return nil, fmt.Errorf("list the logins of User %s: %w", name, err)
	}
	var rs []record.Record
	for i := range list.Items {
		obj := &list.Items[i]
		if obj.Spec.Owner.Kind != login.OwnerKindUser || !obj.DeletionTimestamp.IsZero() {
			continue
		}
		if r, err := kube.FromObject(obj); err == nil {
			rs = append(rs, r)
		}
	}
	return rs, nil
}
