package management_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Invariants 3.2 and 3.4: a write without a response can succeed after its request has failed. The
// record that it names must exist then. Otherwise the token would have no version, and garbage
// collection would delete the former one, which is in use.
func TestRotate_LateWriteFindsItsRecord(t *testing.T) {
	w := newFixture(t)
	made, err := w.NewManagementReplica(api).Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	errNoResponse := errors.New("the API server gives no response")
	var late func() error
	slow := interceptor.NewClient(api, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, o ...client.PatchOption) error {
			if _, ok := obj.(*v1alpha1.ApplicationToken); !ok || late != nil {
				return c.Patch(ctx, obj, patch, o...)
			}
			data, err := patch.Data(obj)
			if err != nil {
				return err
			}
			at := obj.DeepCopyObject().(client.Object)
			late = func() error { return api.Patch(w.Ctx, at, client.RawPatch(patch.Type(), data), o...) }
			return errNoResponse
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			if _, ok := obj.(*v1alpha1.TokenRecord); ok && late != nil {
				return errNoResponse
			}
			return c.Get(ctx, key, obj, o...)
		},
	})
	if _, err := w.NewManagementReplica(slow).Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", ""); err == nil || late == nil {
		t.Fatalf("the rotation ended with %v", err)
	}
	w.Must(late())
	if _, err := w.Store().Get(w.Ctx, tokenspec.DeliveredRecord(w.ManagedObject(made.Token))); err != nil {
		t.Errorf("[3.2] the record of the current version: %v", err)
	}
	leader := w.NewOperator(api, api)
	w.Must(leader.SettleOwnNamespace())
	w.Now = w.Now.Add(11 * time.Minute)
	w.Must(leader.SettleOwnNamespace())
	if !w.IsAccepted(made.Secret) {
		t.Error("[3.4] the version in use is gone")
	}
}
