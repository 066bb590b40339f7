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
	order   *order
}

// wake is an item that no caller added. The worker that gets it looks for another item. The
// client-go work queue wakes a worker when an item is added, and does not know that a namespace is
// eligible again.
var wake = reconcile.Request{}

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
	o := &order{now: now, turns: newTurns(share), asked: map[reconcile.Request]int{}, handed: map[reconcile.Request]int{}}
	plain := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[reconcile.Request]{Name: name, Queue: o})
	delaying := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[reconcile.Request]{Name: name, Queue: plain})
	limited := workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[reconcile.Request]{Name: name, DelayingQueue: delaying})
	return &queue{TypedRateLimitingInterface: limited, limiter: limiter, order: o}
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
		q.order.ask(item, priority)
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
		if item != wake {
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
	return item, q.order.priorityOf(item), false
}

// Done returns an item. The worker then asks for another item, which may be of the same namespace.
// Done wakes another worker only if there is more to do, or when a rest is over.
func (q *queue) Done(item reconcile.Request) {
	rest, another := q.order.release(item)
	q.TypedRateLimitingInterface.Done(item)
	if another {
		q.Add(wake)
	}
	if rest > 0 {
		time.AfterFunc(rest, func() {
			q.order.resume(item.Namespace)
			q.Add(wake)
		})
	}
}

// order is the storage of the client-go work queue, which calls Touch, Push, Len and Pop under its
// own lock. The queue calls ask, priorityOf, release and resume without that lock.
type order struct {
	now    func() time.Time
	mu     sync.Mutex
	wakes  bool // wake is waiting
	turns  *turns
	asked  map[reconcile.Request]int // highest priority since an item was last handed out; absent: none given
	handed map[reconcile.Request]int // priorities of handed-out items, until GetWithPriority reads them
}

func (o *order) ask(item reconcile.Request, priority int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before, given := o.asked[item]; !given || priority > before {
		o.asked[item] = priority
	}
}

func (o *order) priorityOf(item reconcile.Request) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	priority := o.handed[item]
	delete(o.handed, item)
	return priority
}

func (o *order) release(item reconcile.Request) (rest time.Duration, another bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.turns.release(item, o.now())
}

func (o *order) resume(namespace string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turns.resume(namespace, o.now())
}

// Touch raises the priority of an item that is waiting.
func (o *order) Touch(item reconcile.Request) { o.Push(item) }

// Push adds an item.
func (o *order) Push(item reconcile.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if item == wake {
		o.wakes = true
		return
	}
	o.turns.push(item, o.asked[item], o.now())
}

// Len returns the number of items that wait and are eligible.
func (o *order) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wakes {
		return o.turns.len() + 1
	}
	return o.turns.len()
}

// Pop returns the next item in order.
func (o *order) Pop() reconcile.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wakes {
		o.wakes = false
		return wake
	}
	item, priority := o.turns.pop(o.now())
	delete(o.asked, item)
	o.handed[item] = priority
	return item
}
