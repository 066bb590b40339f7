package verify

import (
	"slices"

	"github.com/apptoken/operator/internal/record"
)

// owner is the object that records belong to, by its name, whether or not there is one at the time. Most have one record:
// what there is a million times has few parts, since the garbage collector looks at each.
type owner struct {
	Owner          // as was first heard of it
	last    *Owner // as was last heard of it: that, or one of another uid
	first   *item
	others  []*item
	running bool // it is there and lets its credentials be used
	exempt  bool // its namespace needs no grant
}

// lets says whether the owner, and not one of the same name before it, lets its credentials be used.
func (o *owner) lets(who *Owner) bool { return o.running && o.last.UID == who.UID }

// Resume says that an owner is there and lets its credentials be used, as far as its namespace is granted. Until then they are
// refused.
func (x *Index) Resume(o record.Owner) { x.resume(o, false) }

// ResumeExempt is Resume of an owner whose namespace needs no grant.
func (x *Index) ResumeExempt(o record.Owner) { x.resume(o, true) }

func (x *Index) resume(o record.Owner, exempt bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	who := x.owner(subject(o), o.UID)
	if who.last.UID != o.UID {
		who.last = &Owner{who.last.Subject, o.UID}
	}
	who.running, who.exempt = true, exempt
	who.tell()
}

// Stop refuses every credential of an owner from now on, whatever their records say, until Resume.
func (x *Index) Stop(o record.Owner) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if who := x.owners[subject(o)]; who != nil {
		who.running = false
		who.tell()
		x.forget(who)
	}
}

// tell lets readers know.
func (o *owner) tell() {
	if o.first == nil {
		return
	}
	o.first.Value.follow(o)
	for _, it := range o.others {
		it.Value.follow(o)
	}
}

// follow takes over how the owner is now.
func (e *entry) follow(o *owner) {
	var state uint32
	if o.lets(e.who) {
		state |= ownerRunning
	}
	if o.exempt {
		state |= ownerExempt
	}
	e.owner.Store(state)
}

func (o *owner) add(it *item) {
	if o.first == nil {
		o.first = it
		return
	}
	o.others = append(o.others, it)
}

func (o *owner) remove(it *item) {
	switch i := slices.Index(o.others, it); {
	case i >= 0:
		o.others = slices.Delete(o.others, i, i+1)
	case len(o.others) > 0:
		o.first = o.others[0]
		o.others = slices.Delete(o.others, 0, 1)
	default:
		o.first = nil
	}
}

// subject is how an owner is called: one of no namespace by its name, which has no slash.
func subject(o record.Owner) string {
	if o.Namespace == "" {
		return o.Name
	}
	return o.Namespace + "/" + o.Name
}

func (x *Index) owner(subject, uid string) *owner {
	who := x.owners[subject]
	if who == nil {
		who = newOwner(subject, uid)
		if x.owners == nil {
			x.owners = map[string]*owner{}
		}
		x.owners[who.Subject] = who
	}
	return who
}

func newOwner(subject, uid string) *owner {
	both := subject + uid
	o := &owner{Owner: Owner{both[:len(subject)], both[len(subject):]}}
	o.last = &o.Owner
	return o
}

func (x *Index) forget(who *owner) {
	if who.first == nil && !who.running {
		delete(x.owners, who.last.Subject)
	}
}
