package fairqueue

import (
	"container/list"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// turns orders items. It is not safe for concurrent use. The zero value is not ready; use newTurns.
type turns struct {
	items      map[reconcile.Request]*entry
	namespaces map[string]*namespace
	ring       *list.List         // of *namespace, those with items, the next turn first
	classes    map[int]*list.List // of *namespace by priority, those with items of it, the next turn first
	byRing     bool               // whose turn the next Pop is
}

// entry is an item that waits.
type entry struct {
	request  reconcile.Request
	priority int
	element  *list.Element // in the list of its namespace and priority
}

// namespace holds the items of one namespace.
type namespace struct {
	name    string
	waiting map[int]*list.List    // of *entry by priority, the oldest first
	inClass map[int]*list.Element // in turns.classes
	inRing  *list.Element         // in turns.ring
}

func newTurns() *turns {
	return &turns{
		items: map[reconcile.Request]*entry{}, namespaces: map[string]*namespace{},
		ring: list.New(), classes: map[int]*list.List{},
	}
}

func (t *turns) len() int { return len(t.items) }

// push adds an item, or raises the priority of one that waits already.
func (t *turns) push(request reconcile.Request, priority int) {
	if e := t.items[request]; e != nil {
		if priority <= e.priority {
			return
		}
		t.take(e)
	}
	ns := t.namespaces[request.Namespace]
	if ns == nil {
		ns = &namespace{name: request.Namespace, waiting: map[int]*list.List{}, inClass: map[int]*list.Element{}}
		ns.inRing = t.ring.PushBack(ns)
		t.namespaces[ns.name] = ns
	}
	if ns.waiting[priority] == nil {
		ns.waiting[priority] = list.New()
		if t.classes[priority] == nil {
			t.classes[priority] = list.New()
		}
		ns.inClass[priority] = t.classes[priority].PushBack(ns)
	}
	e := &entry{request: request, priority: priority}
	e.element = ns.waiting[priority].PushBack(e)
	t.items[request] = e
}

// pop returns the item whose turn it is, and its priority. There must be one.
func (t *turns) pop() (reconcile.Request, int) {
	var ns *namespace
	var priority int
	if t.byRing {
		ns = t.ring.Front().Value.(*namespace)
		priority = highest(ns.waiting)
	} else {
		priority = highest(t.classes)
		ns = t.classes[priority].Front().Value.(*namespace)
	}
	t.byRing = !t.byRing
	e := ns.waiting[priority].Front().Value.(*entry)
	t.take(e)
	if t.namespaces[ns.name] == ns { // it has more: the others come first
		t.ring.MoveToBack(ns.inRing)
		if in := ns.inClass[priority]; in != nil {
			t.classes[priority].MoveToBack(in)
		}
	}
	return e.request, e.priority
}

// take removes an item that waits.
func (t *turns) take(e *entry) {
	delete(t.items, e.request)
	ns := t.namespaces[e.request.Namespace]
	ns.waiting[e.priority].Remove(e.element)
	if ns.waiting[e.priority].Len() > 0 {
		return
	}
	t.classes[e.priority].Remove(ns.inClass[e.priority])
	if t.classes[e.priority].Len() == 0 {
		delete(t.classes, e.priority)
	}
	delete(ns.waiting, e.priority)
	delete(ns.inClass, e.priority)
	if len(ns.waiting) == 0 {
		t.ring.Remove(ns.inRing)
		delete(t.namespaces, ns.name)
	}
}

// highest returns the highest priority of those that have something. There are few.
func highest(of map[int]*list.List) int {
	first := true
	var most int
	for priority := range of {
		if first || priority > most {
			most, first = priority, false
		}
	}
	return most
}
