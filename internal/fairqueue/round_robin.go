package fairqueue

import (
	"container/list"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// minBacklog is the number of waiting items from which a namespace counts as having a backlog.
	minBacklog = 16
	// largeBacklog is the number of waiting items that take more than a few seconds to process.
	// From there on a namespace gets share/largeBacklogDivisor workers, although no other namespace
	// has work: the next item of another namespace must find an API server that responds.
	largeBacklog        = 128
	largeBacklogDivisor = 3
	// activeFor is the time for which a namespace without a backlog counts as active after an item
	// of it was handed out.
	activeFor = 5 * time.Second
	// restFactor is the duration of a rest, as a multiple of the time that the last item took.
	restFactor = 2
	// maxRest bounds a rest. An item that takes long mostly waits, and delays no other.
	maxRest = time.Second
)

// roundRobin orders items. It is not safe for concurrent use. The zero value is not ready to use;
// call newRoundRobin.
type roundRobin struct {
	share          int                             // maximum number of handed-out items of one namespace
	handedOut      map[reconcile.Request]time.Time // items that are handed out, and since when
	recentlyActive [2]lastServed                   // the last two namespaces without a backlog, the latest first
	items          map[reconcile.Request]*entry
	namespaces     map[string]*namespace
	ring           *list.List         // of *namespace: those that are eligible, the next turn first
	classes        map[int]*list.List // of *namespace by priority: those in the ring with items of it, the next turn first
	eligible       int                // number of waiting items of the namespaces in the ring
	byRing         bool               // the next pop follows the ring, not the priority
}

// lastServed is the last instant at which an item of a namespace was handed out.
type lastServed struct {
	namespace string
	at        time.Time
}

// entry is a waiting item.
type entry struct {
	request  reconcile.Request
	priority int
	element  *list.Element // in the list of its namespace and priority
}

// namespace holds the items of one namespace.
type namespace struct {
	name         string
	handedOut    int                   // items that are handed out
	pendingRests int                   // number of rests that resume has yet to end; eligible only at 0
	count        int                   // items that are waiting
	waiting      map[int]*list.List    // of *entry by priority, the oldest first
	inClass      map[int]*list.Element // in turns.classes, while eligible
	inRing       *list.Element         // in turns.ring; nil: not eligible, or no items
}

func newRoundRobin(share int) *roundRobin {
	return &roundRobin{
		share: max(share, 1), handedOut: map[reconcile.Request]time.Time{},
		items: map[reconcile.Request]*entry{}, namespaces: map[string]*namespace{},
		ring: list.New(), classes: map[int]*list.List{},
	}
}

// eligibleCount returns the number of waiting items of eligible namespaces. Their shares may not
// allow all of them at once.
func (t *roundRobin) eligibleCount() int { return t.eligible }

// push adds an item, or raises the priority of one that is waiting already.
func (t *roundRobin) push(request reconcile.Request, priority int, now time.Time) {
	if e := t.items[request]; e != nil {
		if priority <= e.priority {
			return
		}
		t.take(e)
	}
	ns := t.namespace(request.Namespace)
	if ns.waiting[priority] == nil {
		ns.waiting[priority] = list.New()
	}
	e := &entry{request: request, priority: priority}
	e.element = ns.waiting[priority].PushBack(e)
	t.items[request] = e
	ns.count++
	if ns.inRing != nil {
		t.eligible++
	}
	t.admit(ns, now)
}

// pop hands out the next item and returns its priority. There must be an eligible item. The item
// counts against the share until release.
func (t *roundRobin) pop(now time.Time) (reconcile.Request, int) {
	var ns *namespace
	var priority int
	if t.byRing {
		ns = t.ring.Front().Value.(*namespace)
		priority = maxPriority(ns.waiting)
	} else {
		priority = maxPriority(t.classes)
		ns = t.classes[priority].Front().Value.(*namespace)
	}
	t.byRing = !t.byRing
	e := ns.waiting[priority].Front().Value.(*entry)
	ns.handedOut++
	t.handedOut[e.request] = now
	if ns.count < minBacklog {
		if t.recentlyActive[0].namespace != ns.name {
			t.recentlyActive[1] = t.recentlyActive[0]
		}
		t.recentlyActive[0] = lastServed{ns.name, now}
	}
	t.take(e)
	switch {
	case ns.handedOut >= t.shareOf(ns, now):
		t.suspend(ns)
	case ns.inRing != nil: // it has more: the others come first
		t.ring.MoveToBack(ns.inRing)
		if in := ns.inClass[priority]; in != nil {
			t.classes[priority].MoveToBack(in)
		}
	}
	return e.request, e.priority
}

// release returns an item that was handed out. If it returns a rest, the namespace is not eligible
// until the caller calls resume after that time. Without a rest it is eligible at once. It also
// reports whether another worker is needed besides the one that returned the item.
func (t *roundRobin) release(request reconcile.Request, now time.Time) (rest time.Duration, another bool) {
	ns := t.namespace(request.Namespace)
	ns.handedOut = max(ns.handedOut-1, 0)
	if t.yields(ns, now) {
		rest = min(restFactor*now.Sub(t.handedOut[request]), maxRest)
	}
	delete(t.handedOut, request)
	if rest > 0 {
		ns.pendingRests++
		t.suspend(ns)
		return rest, false
	}
	t.admit(ns, now)
	another = ns.inRing != nil && ns.count > 1 && ns.handedOut+1 < t.shareOf(ns, now)
	t.forget(ns)
	return 0, another
}

// resume ends a rest of a namespace.
func (t *roundRobin) resume(name string, now time.Time) {
	ns := t.namespace(name)
	ns.pendingRests = max(ns.pendingRests-1, 0)
	t.admit(ns, now)
	t.forget(ns)
}

// yields reports whether a namespace has a backlog while another one without a backlog is active.
func (t *roundRobin) yields(ns *namespace, now time.Time) bool {
	last := t.recentlyActive[0]
	if last.namespace == ns.name {
		last = t.recentlyActive[1]
	}
	return ns.count >= minBacklog && last.namespace != "" && now.Sub(last.at) < activeFor
}

// shareOf returns the maximum number of items of a namespace that may be handed out now.
func (t *roundRobin) shareOf(ns *namespace, now time.Time) int {
	switch {
	case t.yields(ns, now):
		return 1
	case ns.count >= largeBacklog:
		return max(t.share/largeBacklogDivisor, 1)
	default:
		return t.share
	}
}

func (t *roundRobin) namespace(name string) *namespace {
	ns := t.namespaces[name]
	if ns == nil {
		ns = &namespace{name: name, waiting: map[int]*list.List{}, inClass: map[int]*list.Element{}}
		t.namespaces[name] = ns
	}
	return ns
}

// forget deletes a namespace without items and rests.
func (t *roundRobin) forget(ns *namespace) {
	if ns.handedOut == 0 && ns.count == 0 && ns.pendingRests == 0 {
		delete(t.namespaces, ns.name)
	}
}

// admit makes a namespace eligible if it has items, less than its share handed out, and no rest.
// Otherwise it suspends the namespace.
func (t *roundRobin) admit(ns *namespace, now time.Time) {
	if ns.count == 0 || ns.pendingRests > 0 || ns.handedOut >= t.shareOf(ns, now) {
		t.suspend(ns)
		return
	}
	if ns.inRing == nil {
		ns.inRing = t.ring.PushBack(ns)
		t.eligible += ns.count
	}
	for priority := range ns.waiting {
		if ns.inClass[priority] != nil {
			continue
		}
		if t.classes[priority] == nil {
			t.classes[priority] = list.New()
		}
		ns.inClass[priority] = t.classes[priority].PushBack(ns)
	}
}

// suspend makes a namespace ineligible.
func (t *roundRobin) suspend(ns *namespace) {
	if ns.inRing == nil {
		return
	}
	t.ring.Remove(ns.inRing)
	ns.inRing = nil
	t.eligible -= ns.count
	for priority := range ns.inClass {
		t.leaveClass(ns, priority)
	}
}

// take removes a waiting item.
func (t *roundRobin) take(e *entry) {
	delete(t.items, e.request)
	ns := t.namespaces[e.request.Namespace]
	ns.waiting[e.priority].Remove(e.element)
	ns.count--
	if ns.inRing != nil {
		t.eligible--
	}
	if ns.waiting[e.priority].Len() > 0 {
		return
	}
	delete(ns.waiting, e.priority)
	t.leaveClass(ns, e.priority)
	if ns.count == 0 {
		t.suspend(ns)
	}
}

func (t *roundRobin) leaveClass(ns *namespace, priority int) {
	in := ns.inClass[priority]
	if in == nil {
		return
	}
	delete(ns.inClass, priority)
	t.classes[priority].Remove(in)
	if t.classes[priority].Len() == 0 {
		delete(t.classes, priority)
	}
}

// maxPriority returns the highest priority in a map. Maps have few priorities.
func maxPriority(of map[int]*list.List) int {
	first := true
	var most int
	for priority := range of {
		if first || priority > most {
			most, first = priority, false
		}
	}
	return most
}
