package applicationtoken_test

import (
	"context"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// restartFixture is a fixture whose token restarts a missing Deployment. It records the minutes at
// which the operator reads the Deployment.
type restartFixture struct {
	*fixture
	op          *operatortest.Operator
	began       time.Time
	readMinutes []int
}

func newRestartFixture(t *testing.T) *restartFixture {
	t.Helper()
	w := &restartFixture{fixture: newFixture(t)}
	w.began = w.Now
	w.op = w.NewOperator(api, interceptor.NewClient(api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if _, is := obj.(*appsv1.Deployment); is {
				w.readMinutes = append(w.readMinutes, int(w.Now.Sub(w.began)/time.Minute))
			}
			return c.Get(ctx, key, obj, opts...)
		},
	}))
	w.Must(w.DeclareToken())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
		at.Spec.Restart = []v1alpha1.RestartTarget{{Kind: v1alpha1.RestartDeployment, Name: "missing"}}
	}))
	return w
}

func (w *restartFixture) runMinutes(n int) {
	w.T.Helper()
	for range n {
		w.Must(w.op.Pass())
		w.Must(w.op.Pass()) // as if another event enqueued the token
		w.Now = w.Now.Add(time.Minute)
	}
}

func TestRestart_MissingTargetIsRetriedAtDoublingIntervals(t *testing.T) {
	w := newRestartFixture(t)
	w.runMinutes(130)
	if want := []int{0, 1, 3, 7, 15, 31, 63, 95, 127}; !slices.Equal(w.readMinutes, want) {
		t.Errorf("looked for it in the minutes %v, want %v", w.readMinutes, want)
	}
}

func TestRestart_NewVersionAndChangedSpecAreTriedAtOnce(t *testing.T) {
	w := newRestartFixture(t)
	w.runMinutes(5)
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	w.runMinutes(1)
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Restart[0].Name = "other" }))
	w.runMinutes(1)
	if want := []int{0, 1, 3, 5, 6}; !slices.Equal(w.readMinutes, want) {
		t.Errorf("looked for it in the minutes %v, want %v", w.readMinutes, want)
	}
}
