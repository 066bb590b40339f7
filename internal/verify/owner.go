package verify

import (
	"slices"

	"github.com/apptoken/operator/internal/record"
)

// owner is the object that records belong to, by its name, whether or not it exists at the time.
// Most owners have one record. There may be a million owners, so the type has few parts: the
// garbage collector visits each of them.
type owner struct {
	Owner          // as first observed
	last    *Owner // as last observed: the same, or one with another UID
	first   *item
	others  []*item
	running bool // it exists and enables its credentials
	exempt  bool // its namespace needs no grant
}

// lets reports whether the owner with this UID, and not one of the same name before it, enables its
// credentials.
func (o *owner) lets(who *Owner) bool { return o.running && o.last.UID == who.UID }

// Resume enables the credentials of an owner, as far as its namespace is granted. Until then they
// are rejected.
func (x *Index) Resume(o record.Owner) { x.resume(o, false) }

// ResumeExempt is Resume for an owner whose namespace needs no grant.
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

// Stop rejects every credential of an owner from now on, whatever its record says, until Resume.
func (x *Index) Stop(o record.Owner) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if who := x.owners[subject(o)]; who != nil {
		who.running = false
		who.tell()
		x.forget(who)
	}
}

// tell publishes the owner's state to readers.
func (o *owner) tell() {
	if o.first == nil {
		return
	}
	o.first.Value.follow(o)
	for _, it := range o.others {
		it.Value.follow(o)
	}
}

// follow takes over the current state of the owner.
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

// subject returns the namespace and name of an owner, joined by a slash. Without a namespace it
// returns the name alone, which has no slash.
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
