package applicationtoken_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
)

// Right after an outage of the API server, the records do not hold the uses that replicas noted
// during it.
func TestRetire_UnusedCountsAfterAnOutage(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	o := w.newOperator(api, api)
	var outage time.Time
	o.tokens.LastOutage = func() time.Time { return outage }
	w.must(o.settle())
	w.must(setTrigger("2")(w))
	w.must(o.settle())
	w.must(w.store().Use(w.ctx, w.newestRecordName(), w.now, ""))
	w.now = w.now.Add(70 * time.Minute) // more than quietPeriod
	outage = w.now
	expect := func(step string, records int) {
		t.Helper()
		w.must(o.settle())
		if n := w.recordsLeft(); n != records {
			t.Errorf("%s, there are %d records, not %d", step, n, records)
		}
	}
	expect("at the end of the outage", 2)
	w.now = w.now.Add(9 * time.Second)
	expect("while uses are being written", 2)
	w.now = w.now.Add(time.Second)
	expect("once uses are written", 1)
}

// threePredecessors creates a token of the management API with as many predecessors as are kept.
// Unused predecessors may end: a successor of each is in use, and none was used for longer than
// quietPeriod.
func (w *fixture) threePredecessors(k *managementReplica) {
	w.t.Helper()
	made := w.rotatedThrice(k)
	w.must(w.store().Use(w.ctx, made.Secret.Digest().RecordName(), w.now, ""))
	w.now = w.now.Add(2 * time.Hour)
}

func TestRotate_UnusedCountsAfterAnOutage(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	w.threePredecessors(k)
	outage := w.now
	k.LastOutage = func() time.Time { return outage }
	_, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
	if soon, ok := errors.AsType[*management.TooSoon](err); !ok || soon.After != 10*time.Second {
		t.Errorf("right after an outage: %v", err)
	}
	if n := w.recordsLeft(); n != 4 {
		t.Errorf("%d records are left", n)
	}
	w.now = w.now.Add(10 * time.Second)
	if _, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", ""); err != nil {
		t.Errorf("once uses are written: %v", err)
	}
}

func TestRotate_UseStopsDeletionOfPredecessor(t *testing.T) {
	w := newFixture(t)
	w.threePredecessors(w.newManagementReplica(api))
	used := map[string]bool{}
	busy := interceptor.NewClient(api, interceptor.Funcs{
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			if _, ok := obj.(*v1alpha1.TokenRecord); ok && !used[obj.GetName()] { // between the decision and the deletion
				used[obj.GetName()] = true
				w.must(w.store().Use(ctx, obj.GetName(), w.now, ""))
			}
			return c.Delete(ctx, obj, o...)
		},
	})
	_, err := w.newManagementReplica(busy).Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
	if _, ok := errors.AsType[*management.TooSoon](err); !ok {
		t.Errorf("while each predecessor is in use: %v", err)
	}
	if n := w.recordsLeft(); n != 4 || len(used) == 0 {
		t.Errorf("%d records are left; the deletion of %d was tried", n, len(used))
	}
}
