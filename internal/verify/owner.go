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

// enables reports whether the owner with this UID, and not an earlier one of the same name, enables
// its credentials.
func (o *ownerEntry) enables(owner *Owner) bool { return o.isEnabled && o.current.UID == owner.UID }

// Enable enables the credentials of an owner, as far as its namespace is granted. Until then they
// are rejected.
func (x *Index) Enable(owner record.Owner) { x.enable(owner, false) }

// EnableExempt is Enable for an owner whose namespace needs no grant.
func (x *Index) EnableExempt(owner record.Owner) { x.enable(owner, true) }

func (x *Index) enable(owner record.Owner, exempt bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	o := x.ownerEntryOf(ownerSubject(owner), owner.UID)
	if o.current.UID != owner.UID {
		o.current = &Owner{o.current.Subject, owner.UID}
	}
	o.isEnabled, o.isExempt = true, exempt
	o.publish()
}

// Disable rejects every credential of an owner from now on, whatever its record says, until Enable
// or EnableExempt.
func (x *Index) Disable(owner record.Owner) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if o := x.owners[ownerSubject(owner)]; o != nil {
		o.isEnabled = false
		o.publish()
		x.dropOwner(o)
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
	o := x.owners[subject]
	if o == nil {
		o = newOwnerEntry(subject, uid)
		if x.owners == nil {
			x.owners = map[string]*ownerEntry{}
		}
		x.owners[o.Subject] = o
	}
	return o
}

func newOwnerEntry(subject, uid string) *ownerEntry {
	both := subject + uid
	o := &ownerEntry{Owner: Owner{both[:len(subject)], both[len(subject):]}}
	o.current = &o.Owner
	return o
}

func (x *Index) dropOwner(o *ownerEntry) {
	if o.first == nil && !o.isEnabled {
		delete(x.owners, o.current.Subject)
	}
}
