package applicationtoken_test

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/applicationtoken"
)

// Tokens to be ended, and tokens without a first version, must not wait for thousands that rotate
// at once.
func TestUrgentQueue_EndsTokensBeforeFirstIssues(t *testing.T) {
	type tokens = v1alpha1.ApplicationToken
	at := func(name string, change func(*tokens)) *tokens {
		at := &tokens{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 2}, Spec: v1alpha1.ApplicationTokenSpec{State: v1alpha1.TokenActive}}
		at.Status.ObservedGeneration = 1
		at.Status.Current = &v1alpha1.CurrentVersion{}
		change(at)
		return at
	}
	seen := []*tokens{
		at("there", func(*tokens) {}),
		at("new", func(at *tokens) { at.Status.Current = nil }),
		at("revoked long ago", func(at *tokens) { at.Spec.State, at.Status.ObservedGeneration = v1alpha1.TokenRevoked, 2 }),
		at("revoked long ago, and nothing left", func(at *tokens) {
			at.Spec.State, at.Status.ObservedGeneration, at.Status.Current = v1alpha1.TokenRevoked, 2, nil
		}),
		at("revoked", func(at *tokens) { at.Spec.State = v1alpha1.TokenRevoked }),
		at("suspended", func(at *tokens) { at.Spec.State = v1alpha1.TokenSuspended }),
		at("deleted", func(at *tokens) { at.DeletionTimestamp = new(metav1.NewTime(time.Now())) }),
		at("refused", func(at *tokens) { at.Status.Current = nil }),
	}
	q := priorityqueue.New[reconcile.Request](t.Name())
	defer q.ShutDown()
	for _, at := range seen {
		applicationtoken.EnqueueUrgent(q, at)
	}
	want := []string{"revoked", "suspended", "deleted", "new", "refused"}
	var got []string
	for range want {
		request, _ := q.Get()
		got = append(got, request.Name)
	}
	if !slices.Equal(got, want) || q.Len() > 0 {
		t.Errorf("taken from the queue:\n%q\nwant\n%q and no more", got, want)
	}
}
