package verify

import (
	"slices"

	"github.com/apptoken/operator/internal/record"
)

// ownerEntry is the object that records belong to, by its name, whether or not it exists at the
// time. Most owners have one record. There may be a million owners, so the type has few parts: the
// garbage collector visits each of them.
type ownerEntry struct {
	Owner            // as first observed
	current   *Owner // as last observed: the same, or one with another UID
	first     *item
	others    []*item
	isEnabled bool // it exists and enables its credentials
	isExempt  bool // its namespace needs no grant
}

// enables reports whether the owner with this UID, and not one of the same name before it, enables
// its credentials.
func (o *ownerEntry) enables(who *Owner) bool { return o.isEnabled && o.current.UID == who.UID }

// Enable enables the credentials of an owner, as far as its namespace is granted. Until then they
// are rejected.
func (x *Index) Enable(o record.Owner) { x.enable(o, false) }

// EnableExempt is Enable for an owner whose namespace needs no grant.
func (x *Index) EnableExempt(o record.Owner) { x.enable(o, true) }

func (x *Index) enable(o record.Owner, exempt bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	who := x.ownerEntryOf(ownerSubject(o), o.UID)
	if who.current.UID != o.UID {
		who.current = &Owner{who.current.Subject, o.UID}
	}
	who.isEnabled, who.isExempt = true, exempt
	who.publish()
}

// Disable rejects every credential of an owner from now on, whatever its record says, until
// Enable.
func (x *Index) Disable(o record.Owner) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if who := x.owners[ownerSubject(o)]; who != nil {
		who.isEnabled = false
		who.publish()
		x.dropOwner(who)
	}
}

// publish publishes the owner's state to readers.
func (o *ownerEntry) publish() {
	if o.first == nil {
		return
	}
	o.first.Value.setOwnerState(o)
	for _, it := range o.others {
		it.Value.setOwnerState(o)
	}
}

// setOwnerState takes over the current state of the owner.
func (e *entry) setOwnerState(o *ownerEntry) {
	var state uint32
	if o.enables(e.ownerRef) {
		state |= ownerEnabled
	}
	if o.isExempt {
		state |= ownerExempt
	}
	e.ownerState.Store(state)
}

func (o *ownerEntry) add(it *item) {
	if o.first == nil {
		o.first = it
		return
	}
	o.others = append(o.others, it)
}

func (o *ownerEntry) remove(it *item) {
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

// ownerSubject returns the namespace and name of an owner, joined by a slash. Without a namespace
// it returns the name alone, which has no slash.
func ownerSubject(o record.Owner) string {
	if o.Namespace == "" {
		return o.Name
	}
	return o.Namespace + "/" + o.Name
}

func (x *Index) ownerEntryOf(subject, uid string) *ownerEntry {
	who := x.owners[subject]
	if who == nil {
		who = newOwnerEntry(subject, uid)
		if x.owners == nil {
			x.owners = map[string]*ownerEntry{}
		}
		x.owners[who.Subject] = who
	}
	return who
}

func newOwnerEntry(subject, uid string) *ownerEntry {
	both := subject + uid
	o := &ownerEntry{Owner: Owner{both[:len(subject)], both[len(subject):]}}
	o.current = &o.Owner
	return o
}

func (x *Index) dropOwner(who *ownerEntry) {
	if who.first == nil && !who.isEnabled {
		delete(x.owners, who.current.Subject)
	}
}
