package fairqueue

import (
	"container/list"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// turns orders items. It is not safe for concurrent use. The zero value is not ready; use newTurns.
type turns struct {
	share      int // how many items of one namespace are handed out and not given back at a time
	items      map[reconcile.Request]*entry
	namespaces map[string]*namespace
	ring       *list.List         // of *namespace, those that may be served, the next turn first
	classes    map[int]*list.List // of *namespace by priority, those of the ring that have items of it, the next turn first
	eligible   int                // items of the namespaces in the ring
	byRing     bool               // whose turn the next pop is
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
	out     int                   // items that are handed out
	count   int                   // items that wait
	waiting map[int]*list.List    // of *entry by priority, the oldest first
	inClass map[int]*list.Element // in turns.classes, where it may be served
	inRing  *list.Element         // in turns.ring; nil: it may not be served, or has nothing
}

func newTurns(share int) *turns {
	return &turns{
		share: max(share, 1), items: map[reconcile.Request]*entry{}, namespaces: map[string]*namespace{},
		ring: list.New(), classes: map[int]*list.List{},
	}
}

// len returns how many items could be handed out, if not all at once.
func (t *turns) len() int { return t.eligible }

// push adds an item, or raises the priority of one that waits already.
func (t *turns) push(request reconcile.Request, priority int) {
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
	t.admit(ns)
}

// pop hands out the item whose turn it is, and its priority. There must be one. It counts until release.
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
	ns.out++
	t.take(e)
	switch {
	case ns.out >= t.share:
		t.suspend(ns)
	case ns.inRing != nil: // it has more: the others come first
		t.ring.MoveToBack(ns.inRing)
		if in := ns.inClass[priority]; in != nil {
			t.classes[priority].MoveToBack(in)
		}
	}
	return e.request, e.priority
}

// release gives back an item that was handed out.
func (t *turns) release(request reconcile.Request) {
	ns := t.namespace(request.Namespace)
	ns.out = max(ns.out-1, 0)
	t.admit(ns)
	t.forget(ns)
}

func (t *turns) namespace(name string) *namespace {
	ns := t.namespaces[name]
	if ns == nil {
		ns = &namespace{name: name, waiting: map[int]*list.List{}, inClass: map[int]*list.Element{}}
		t.namespaces[name] = ns
	}
	return ns
}

func (t *turns) forget(ns *namespace) {
	if ns.out == 0 && ns.count == 0 {
		delete(t.namespaces, ns.name)
	}
}

// admit lets a namespace be served that has items and less than its share.
func (t *turns) admit(ns *namespace) {
	if ns.count == 0 || ns.out >= t.share {
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

// suspend keeps a namespace from being served.
func (t *turns) suspend(ns *namespace) {
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

// take removes an item that waits.
func (t *turns) take(e *entry) {
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

func (t *turns) leaveClass(ns *namespace, priority int) {
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
