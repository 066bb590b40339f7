package session_test

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
)

// frozenCache returns a cache that receives no more events.
func (w *fixture) frozenCache(c client.WithWatch) client.WithWatch {
	w.T.Helper()
	var users v1alpha1.UserList
	var secrets corev1.SecretList
	var records v1alpha1.TokenRecordList
	var clients v1alpha1.ClientList
	w.Must(errors.Join(api.List(w.Ctx, &users), api.List(w.Ctx, &clients), api.List(w.Ctx, &secrets, client.InNamespace(w.OwnNamespace)), api.List(w.Ctx, &records, client.InNamespace(w.OwnNamespace))))
	return interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			found := false
			switch obj := obj.(type) {
			case *v1alpha1.User:
				found = copyFound(users.Items, key, func(x *v1alpha1.User) { x.DeepCopyInto(obj) })
			case *v1alpha1.Client:
				found = copyFound(clients.Items, key, func(x *v1alpha1.Client) { x.DeepCopyInto(obj) })
			case *corev1.Secret:
				found = copyFound(secrets.Items, key, func(x *corev1.Secret) { x.DeepCopyInto(obj) })
			case *v1alpha1.TokenRecord:
				found = copyFound(records.Items, key, func(x *v1alpha1.TokenRecord) { x.DeepCopyInto(obj) })
			}
			if !found {
				return apierrors.NewNotFound(corev1.Resource("objects"), key.Name)
			}
			return nil
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			if l, ok := list.(*v1alpha1.TokenRecordList); ok {
				records.DeepCopyInto(l)
				return nil
			}
			return c.List(ctx, list, o...)
		},
	})
}

func copyFound[T any, P interface {
	*T
	client.Object
}](items []T, key client.ObjectKey, into func(P)) bool {
	for i := range items {
		if x := P(&items[i]); client.ObjectKeyFromObject(x) == key {
			into(x)
			return true
		}
	}
	return false
}
