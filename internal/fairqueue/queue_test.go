package fairqueue

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// fixedDelay is a rate limiter that returns the same delay for every item.
type fixedDelay time.Duration

func (d fixedDelay) When(reconcile.Request) time.Duration { return time.Duration(d) }

func (fixedDelay) Forget(reconcile.Request) {}

func (fixedDelay) NumRequeues(reconcile.Request) int { return 0 }

func startQueue(t *testing.T) *queue {
	t.Helper()
	q := newQueue("", fixedDelay(time.Millisecond), 4, time.Now)
	t.Cleanup(q.ShutDown)
	return q
}

func getItem(t *testing.T, q *queue) (reconcile.Request, int) {
	t.Helper()
	r, priority, shutdown := q.GetWithPriority()
	if shutdown {
		t.Fatal("the queue is shut down")
	}
	return r, priority
}

func TestQueue_HandsOutWithPriority(t *testing.T) {
	q := startQueue(t)
	q.AddWithOpts(priorityqueue.AddOpts{Priority: new(-10)}, item("a", 1), item("a", 2))
	q.AddWithOpts(priorityqueue.AddOpts{Priority: new(20)}, item("a", 2))
	if r, priority := getItem(t, q); r != item("a", 2) || priority != 20 {
		t.Errorf("got %v at %d, want 2 at 20", r, priority)
	}
	if r, priority := getItem(t, q); r != item("a", 1) || priority != -10 {
		t.Errorf("got %v at %d, want 1 at -10", r, priority)
	}
}

func TestQueue_ItemAddedWhileProcessedComesOnceMore(t *testing.T) {
	q := startQueue(t)
	q.Add(item("a", 1))
	r, _ := getItem(t, q)
	q.Add(r)
	q.AddWithOpts(priorityqueue.AddOpts{Priority: new(10)}, r)
	if n := q.Len(); n != 0 {
		t.Errorf("%d items wait while the only one is processed", n)
	}
	q.Done(r)
	if again, priority := getItem(t, q); again != r || priority != 10 {
		t.Errorf("got %v at %d, want the item once more at 10", again, priority)
	}
	q.Done(r)
	if n := q.Len(); n != 0 {
		t.Errorf("%d items wait, want none", n)
	}
}

func TestQueue_DelayedAndFailedItemsComeBack(t *testing.T) {
	q := startQueue(t)
	q.AddWithOpts(priorityqueue.AddOpts{After: time.Millisecond, Priority: new(-10)}, item("a", 1))
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: new(-10)}, item("a", 2))
	seen := map[reconcile.Request]int{}
	for range 2 {
		r, priority := getItem(t, q)
		seen[r] = priority
	}
	if len(seen) != 2 || seen[item("a", 1)] != -10 || seen[item("a", 2)] != -10 {
		t.Errorf("got %v, want both items at -10", seen)
	}
}

func TestQueue_ShutDownEndsWaiting(t *testing.T) {
	q := startQueue(t)
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

var _ workqueue.TypedRateLimiter[reconcile.Request] = fixedDelay(0)

func TestQueue_WorkersServeOthersWhileNamespaceHasItsShare(t *testing.T) {
	q := startQueue(t)
	for n := range 10 {
		q.Add(item("backlog", n))
	}
	var held []reconcile.Request
	for range 4 {
		r, _ := getItem(t, q)
		held = append(held, r)
	}
	if n := q.Len(); n != 0 {
		t.Errorf("%d items may be handed out although the namespace has its share", n)
	}
	next := make(chan reconcile.Request)
	go func() {
		r, _, _ := q.GetWithPriority()
		next <- r
	}()
	q.Add(item("neighbour", 0))
	if r := <-next; r.Namespace != "neighbour" {
		t.Errorf("got an item of %s, want that of the neighbour", r.Namespace)
	}
	q.Done(held[0])
	if r, _ := getItem(t, q); r.Namespace != "backlog" {
		t.Errorf("got an item of %s after one was given back, want one of the namespace with a backlog", r.Namespace)
	}
}

func TestQueue_WorkerIsWokenWhenRestIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := began
		q := newQueue("", fixedDelay(time.Millisecond), 1, func() time.Time { return now })
		defer q.ShutDown()
		q.Add(item("backlog", -1))
		first, _ := getItem(t, q)
		for n := range 2 * minBacklog {
			q.Add(item("backlog", n))
		}
		q.Add(item("neighbour", 0))
		if r, _ := getItem(t, q); r.Namespace != "neighbour" {
			t.Fatalf("got %v, want that of the neighbour", r)
		}
		now = now.Add(10 * time.Millisecond)
		done := time.Now()
		q.Done(first)
		r, _ := getItem(t, q)
		if rested := time.Since(done); r.Namespace != "backlog" || rested != restFactor*10*time.Millisecond {
			t.Errorf("got %v after %s, want an item of the namespace after its rest", r, rested)
		}
	})
}

// TestQueue_NamespaceRegainsShare checks a namespace that had one worker at a time while it
// yielded. It gets its share of workers again once it no longer yields.
func TestQueue_NamespaceRegainsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := began
		q := newQueue("", fixedDelay(time.Millisecond), 3, func() time.Time { return now })
		defer q.ShutDown()
		q.Add(item("neighbour", 0))
		getItem(t, q)
		for n := range 2 * minBacklog {
			q.Add(item("backlog", n))
		}
		first, _ := getItem(t, q)
		if n := q.Len(); n != 0 {
			t.Fatalf("%d more items may be handed out while the namespace yields", n)
		}
		next := make(chan reconcile.Request, 1)
		go func() {
			r, _, _ := q.GetWithPriority()
			next <- r
		}()
		synctest.Wait() // the worker is waiting
		now = now.Add(2 * activeFor)
		q.Done(first)
		own, _ := getItem(t, q)
		for _, r := range []reconcile.Request{own, <-next} {
			if r.Namespace != "backlog" {
				t.Errorf("got %v, want an item of the namespace", r)
			}
		}
	})
}

// TestQueue_WorkersProcessEveryItem checks that many workers empty a queue to which others add. No
// item is lost, and none waits for a signal that never comes.
func TestQueue_WorkersProcessEveryItem(t *testing.T) {
	q := startQueue(t)
	const namespaces, items, workers = 3, 300, 16
	var over, work sync.WaitGroup
	var mu sync.Mutex
	served := map[reconcile.Request]bool{}
	work.Add(namespaces * items)
	for range workers {
		over.Go(func() {
			for {
				r, _, shutdown := q.GetWithPriority()
				if shutdown {
					return
				}
				mu.Lock()
				if !served[r] {
					served[r] = true
					work.Done()
				}
				mu.Unlock()
				q.Done(r)
			}
		})
	}
	for ns := range namespaces {
		over.Go(func() {
			for n := range items {
				q.AddWithOpts(priorityqueue.AddOpts{Priority: new(n % 3)}, item(fmt.Sprint(ns), n))
			}
		})
	}
	work.Wait()
	q.ShutDown()
	over.Wait()
}
