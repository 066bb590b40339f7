package operatortest

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/controllers/index"
)

// fieldIndexes holds the indexes of the cache, for a client without any.
type fieldIndexes map[reflect.Type]map[string]client.IndexerFunc

func (x fieldIndexes) IndexField(_ context.Context, obj client.Object, field string, by client.IndexerFunc) error {
	kind := reflect.TypeOf(obj)
	if x[kind] == nil {
		x[kind] = map[string]client.IndexerFunc{}
	}
	x[kind][field] = by
	return nil
}

// ByIndexes returns a client that lists by the indexes of the operator's cache, which the API
// server cannot do.
func ByIndexes(t *testing.T, c client.WithWatch) client.WithWatch {
	t.Helper()
	x := fieldIndexes{}
	if err := index.AddTo(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	return interceptor.NewClient(c, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			var options client.ListOptions
			options.ApplyOptions(o)
			if options.FieldSelector == nil {
				return c.List(ctx, list, o...)
			}
			if err := c.List(ctx, list, client.InNamespace(options.Namespace)); err != nil {
				return err
			}
			items, err := meta.ExtractList(list)
			if err != nil {
				return err
			}
			var found []runtime.Object
			for _, item := range items {
				fits := true
				for _, wanted := range options.FieldSelector.Requirements() {
					by := x[reflect.TypeOf(item)][wanted.Field]
					if by == nil {
						return errors.New("the cache has no index " + wanted.Field)
					}
					has := false
					for _, value := range by(item.(client.Object)) {
						has = has || value == wanted.Value
					}
					fits = fits && has
				}
				if fits {
					found = append(found, item)
				}
			}
			return meta.SetList(list, found)
		},
	})
}
