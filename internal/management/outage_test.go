package management_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// threePredecessors creates a token of the management API with as many predecessors as are kept.
// Unused predecessors may end: a successor of each is in use, and none was used for longer than
// quietPeriod.
func (w *fixture) threePredecessors(k *operatortest.ManagementReplica) {
	w.T.Helper()
	made := w.rotatedThrice(k)
	w.Must(w.Store().Use(w.Ctx, made.Secret.Digest().RecordName(), w.Now, ""))
	w.Now = w.Now.Add(2 * time.Hour)
}

func TestRotate_UnusedCountsAfterAnOutage(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	w.threePredecessors(k)
	outage := w.Now
	k.LastOutage = func() time.Time { return outage }
	_, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
	if soon, ok := errors.AsType[*management.TooSoon](err); !ok || soon.After != 10*time.Second {
		t.Errorf("right after an outage: %v", err)
	}
	if n := w.RecordsLeft(); n != 4 {
		t.Errorf("%d records are left", n)
	}
	w.Now = w.Now.Add(10 * time.Second)
	if _, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", ""); err != nil {
		t.Errorf("once uses are written: %v", err)
	}
}

func TestRotate_UseStopsDeletionOfPredecessor(t *testing.T) {
	w := newFixture(t)
	w.threePredecessors(w.NewManagementReplica(api))
	used := map[string]bool{}
	busy := interceptor.NewClient(api, interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			if _, ok := obj.(*v1alpha1.TokenRecord); ok && !used[obj.GetName()] { // between the decision and the deletion
				used[obj.GetName()] = true
				w.Must(w.Store().Use(ctx, obj.GetName(), w.Now, ""))
			}
			return c.Delete(ctx, obj, o...)
		},
	})
	_, err := w.NewManagementReplica(busy).Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
	if _, ok := errors.AsType[*management.TooSoon](err); !ok {
		t.Errorf("while each predecessor is in use: %v", err)
	}
	if n := w.RecordsLeft(); n != 4 || len(used) == 0 {
		t.Errorf("%d records are left; the deletion of %d was tried", n, len(used))
	}
}
