package fairqueue

import (
	"errors"
	"testing"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// at is a limiter by which every item comes back after the same delay.
type at time.Duration

func (d at) When(reconcile.Request) time.Duration { return time.Duration(d) }
func (at) Forget(reconcile.Request)               {}
func (at) NumRequeues(reconcile.Request) int      { return 0 }

func newQueue(t *testing.T) *queue {
	t.Helper()
	q, is := New("", at(time.Millisecond)).(*queue)
	if !is {
		t.Fatal(errors.New("not a queue of this package"))
	}
	t.Cleanup(q.ShutDown)
	return q
}

func get(t *testing.T, q *queue) (reconcile.Request, int) {
	t.Helper()
	r, priority, shutdown := q.GetWithPriority()
	if shutdown {
		t.Fatal("the queue is shut down")
	}
	return r, priority
}

func TestQueue_HandsOutWithPriority(t *testing.T) {
	q := newQueue(t)
	q.AddWithOpts(priorityqueue.AddOpts{Priority: new(-10)}, item("a", 1), item("a", 2))
	q.AddWithOpts(priorityqueue.AddOpts{Priority: new(20)}, item("a", 2))
	if r, priority := get(t, q); r != item("a", 2) || priority != 20 {
		t.Errorf("got %v at %d, want 2 at 20", r, priority)
	}
	if r, priority := get(t, q); r != item("a", 1) || priority != -10 {
		t.Errorf("got %v at %d, want 1 at -10", r, priority)
	}
}

func TestQueue_ItemAddedWhileProcessedComesOnceMore(t *testing.T) {
	q := newQueue(t)
	q.Add(item("a", 1))
	r, _ := get(t, q)
	q.Add(r)
	q.AddWithOpts(priorityqueue.AddOpts{Priority: new(10)}, r)
	if n := q.Len(); n != 0 {
		t.Errorf("%d items wait while the only one is processed", n)
	}
	q.Done(r)
	if again, priority := get(t, q); again != r || priority != 10 {
		t.Errorf("got %v at %d, want the item once more at 10", again, priority)
	}
	q.Done(r)
	if n := q.Len(); n != 0 {
		t.Errorf("%d items wait, want none", n)
	}
}

func TestQueue_DelayedAndFailedItemsComeBack(t *testing.T) {
	q := newQueue(t)
	q.AddWithOpts(priorityqueue.AddOpts{After: time.Millisecond, Priority: new(-10)}, item("a", 1))
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: new(-10)}, item("a", 2))
	seen := map[reconcile.Request]int{}
	for range 2 {
		r, priority := get(t, q)
		seen[r] = priority
	}
	if len(seen) != 2 || seen[item("a", 1)] != -10 || seen[item("a", 2)] != -10 {
		t.Errorf("got %v, want both items at -10", seen)
	}
}

func TestQueue_ShutDownEndsWaiting(t *testing.T) {
	q := newQueue(t)
	ended := make(chan bool)
	go func() {
		_, _, shutdown := q.GetWithPriority()
		ended <- shutdown
	}()
	q.ShutDown()
	if !<-ended {
		t.Error("an item was handed out after the end")
	}
}

var _ workqueue.TypedRateLimiter[reconcile.Request] = at(0)
