package fairqueue

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// queue is a client-go work queue whose order turns decides.
type queue struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
	limiter workqueue.TypedRateLimiter[reconcile.Request]
	storage *storage
}

// wakeItem is an item that no caller added. The worker that gets it looks for another item. The
// client-go work queue wakes a worker when an item is added, and does not know that a namespace is
// eligible again.
var wakeItem = reconcile.Request{}

var _ priorityqueue.PriorityQueue[reconcile.Request] = (*queue)(nil)

// New returns a constructor for controller.Options.NewQueue. A namespace has at most share workers
// at a time; share is at least one. Failed items come back when limiter allows it. The argument now
// is the clock; the Go runtime times the rests.
func New(share int, now func() time.Time) func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
		return newQueue(name, limiter, share, now)
	}
}

func newQueue(name string, limiter workqueue.TypedRateLimiter[reconcile.Request], share int, now func() time.Time) *queue {
	o := &storage{now: now, roundRobin: newRoundRobin(share), requested: map[reconcile.Request]int{}, handedOut: map[reconcile.Request]int{}}
	plain := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[reconcile.Request]{Name: name, Queue: o})
	delaying := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[reconcile.Request]{Name: name, Queue: plain})
	limited := workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[reconcile.Request]{Name: name, DelayingQueue: delaying})
	return &queue{TypedRateLimitingInterface: limited, limiter: limiter, storage: o}
}

// AddWithOpts adds items with a priority, after a delay. An item that is waiting already keeps the
// higher of the two priorities. With RateLimited and After, the shorter delay counts.
func (q *queue) AddWithOpts(o priorityqueue.AddOpts, items ...reconcile.Request) {
	priority := 0
	if o.Priority != nil {
		priority = *o.Priority
	}
	for _, item := range items {
		after := o.After
		if o.RateLimited {
			if limited := q.limiter.When(item); after == 0 || limited < after {
				after = limited
			}
		}
		q.storage.requestPriority(item, priority)
		if after > 0 {
			q.AddAfter(item, after)
		} else {
			q.Add(item)
		}
	}
}

// Get waits for the next item.
func (q *queue) Get() (item reconcile.Request, shutdown bool) {
	for {
		item, shutdown = q.TypedRateLimitingInterface.Get()
		if shutdown || q.ShuttingDown() { // the remaining items are for the next process
			return item, true
		}
		if item != wakeItem {
			return item, false
		}
		q.TypedRateLimitingInterface.Done(item)
	}
}

// GetWithPriority waits for the next item, and returns it with its priority.
func (q *queue) GetWithPriority() (item reconcile.Request, priority int, shutdown bool) {
	item, shutdown = q.Get()
	if shutdown {
		return item, 0, true
	}
	return item, q.storage.priorityOf(item), false
}

// Done returns an item. The worker then asks for another item, which may be of the same namespace.
// Done wakes another worker only if there is more to do, or when a rest is over.
func (q *queue) Done(item reconcile.Request) {
	rest, another := q.storage.release(item)
	q.TypedRateLimitingInterface.Done(item)
	if another {
		q.Add(wakeItem)
	}
	if rest > 0 {
		time.AfterFunc(rest, func() {
			q.storage.resume(item.Namespace)
			q.Add(wakeItem)
		})
	}
}

// storage is the storage of the client-go work queue, which calls Touch, Push, Len and Pop under
// its own lock. The queue calls requestPriority, priorityOf, release and resume without that lock.
type storage struct {
	now         func() time.Time
	mu          sync.Mutex
	hasWakeItem bool // wake is waiting
	roundRobin  *roundRobin
	requested   map[reconcile.Request]int // highest priority since an item was last handed out; absent: none given
	handedOut   map[reconcile.Request]int // priorities of handed-out items, until GetWithPriority reads them
}

func (o *storage) requestPriority(item reconcile.Request, priority int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before, given := o.requested[item]; !given || priority > before {
		o.requested[item] = priority
	}
}

func (o *storage) priorityOf(item reconcile.Request) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	priority := o.handedOut[item]
	delete(o.handedOut, item)
	return priority
}

func (o *storage) release(item reconcile.Request) (rest time.Duration, another bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.roundRobin.release(item, o.now())
}

func (o *storage) resume(namespace string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.roundRobin.resume(namespace, o.now())
}

// Touch raises the priority of an item that is waiting.
func (o *storage) Touch(item reconcile.Request) { o.Push(item) }

// Push adds an item.
func (o *storage) Push(item reconcile.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if item == wakeItem {
		o.hasWakeItem = true
		return
	}
	o.roundRobin.push(item, o.requested[item], o.now())
}

// Len returns the number of items that wait and are eligible.
func (o *storage) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hasWakeItem {
		return o.roundRobin.eligibleCount() + 1
	}
	return o.roundRobin.eligibleCount()
}

// Pop returns the next item in order.
func (o *storage) Pop() reconcile.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hasWakeItem {
		o.hasWakeItem = false
		return wakeItem
	}
	item, priority := o.roundRobin.pop(o.now())
	delete(o.requested, item)
	o.handedOut[item] = priority
	return item
}
