package operatortest

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
)

// Snapshot is a cache that receives no events: of its kinds it has the objects of the time when it
// was taken.
type Snapshot struct {
	Kinds   int
	Taken   bool
	token   *v1alpha1.ApplicationToken
	secret  *corev1.Secret
	Records []v1alpha1.TokenRecord
}

// Take takes the snapshot, or takes it anew.
func (s *Snapshot) Take(w *Fixture) error {
	s.Taken = true
	var at v1alpha1.ApplicationToken
	var secret corev1.Secret
	var records v1alpha1.TokenRecordList
	s.token, s.secret, s.Records = nil, nil, nil
	if err := w.api.Get(w.Ctx, w.Key(), &at); err == nil {
		s.token = &at
	} else if !apierrors.IsNotFound(err) {
		return err
	}
	if err := w.api.Get(w.Ctx, w.Key(), &secret); err == nil {
		s.secret = &secret
	} else if !apierrors.IsNotFound(err) {
		return err
	}
	err := w.api.List(w.Ctx, &records, client.InNamespace(w.OwnNamespace))
	s.Records = records.Items
	return err
}

// Over serves reads of its kinds from the snapshot, and all others from c.
func (s *Snapshot) Over(c client.WithWatch) client.WithWatch {
	missing := func(name string) error { return apierrors.NewNotFound(corev1.Resource("objects"), name) }
	return interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			switch obj := obj.(type) {
			case *v1alpha1.ApplicationToken:
				if s.Kinds&1 != 0 && s.Taken {
					if s.token == nil || key.Name != s.token.Name {
						return missing(key.Name)
					}
					s.token.DeepCopyInto(obj)
					return nil
				}
			case *corev1.Secret:
				if s.Kinds&2 != 0 && s.Taken {
					if s.secret == nil || key.Name != s.secret.Name {
						return missing(key.Name)
					}
					s.secret.DeepCopyInto(obj)
					return nil
				}
			case *v1alpha1.TokenRecord:
				if s.Kinds&4 != 0 && s.Taken {
					for i := range s.Records {
						if s.Records[i].Name == key.Name {
							s.Records[i].DeepCopyInto(obj)
							return nil
						}
					}
					return missing(key.Name)
				}
			}
			return c.Get(ctx, key, obj, o...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			if l, ok := list.(*v1alpha1.TokenRecordList); ok && s.Kinds&4 != 0 && s.Taken {
				l.Items = nil
				for i := range s.Records {
					l.Items = append(l.Items, *s.Records[i].DeepCopy())
				}
				return nil
			}
			return c.List(ctx, list, o...)
		},
	})
}
