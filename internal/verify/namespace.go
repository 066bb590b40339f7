package verify

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
)

// namespaceEntry is a namespace by its name, whether or not it exists at the time.
type namespaceEntry struct {
	name   string
	labels atomic.Pointer[map[string]string] // nil: no namespace of that name is known
	grants []*grants                         // of records in it
}

// relabel sets new labels, or nil if the namespace does not exist. It invalidates the authority
// that the grants in it were cut to.
func (n *namespaceEntry) relabel(labels *map[string]string) {
	n.labels.Store(labels)
	for _, g := range n.grants {
		g.held.Store(&Held{})
	}
}

func (n *namespaceEntry) leave(g *grants) {
	last := len(n.grants) - 1
	n.grants[slices.Index(n.grants, g)] = n.grants[last]
	n.grants[last] = nil
	n.grants = n.grants[:last]
}

// cut returns the authority that the grants amount to: what was asked for, within what the client
// holds. Unless n is nil, it is also cut to what the client or the user grants to the namespace.
func (g *grants) cut(c *Client, u *User, n *namespaceEntry) *Held {
	if n == nil {
		h := newHeld(c, u, g)
		h.bindUser(g.userUID)
		return h
	}
	granted, within := false, c
	if u != nil {
		granted = slices.Contains(u.Namespaces, n.name)
	} else if c.Draw != nil {
		var known map[string]string
		if labels := n.labels.Load(); labels != nil {
			known = *labels
		}
		var roles []string
		roles, granted = c.Draw(n.name, known)
		narrow := *c
		narrow.Ceiling = c.Ceiling.Restrict(roles)
		within = &narrow
	}
	h := newHeld(within, u, g)
	h.Client, h.isUngranted = c, !granted
	h.bindUser(g.userUID)
	return h
}

// bindUser limits h to the user with that UID. If the record names no UID, the user must have
// existed when it was issued.
func (h *Held) bindUser(uid string) {
	switch {
	case h.User == nil:
	case uid == "":
		h.userCreatedAt = h.User.CreatedAt
	case uid != h.User.UID:
		h.isDisabled = true
	}
}

// SetNamespace stores the current labels of a namespace.
func (x *Index) SetNamespace(name string, labels map[string]string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := x.namespaceEntryOf(name)
	if before := n.labels.Load(); before != nil && maps.Equal(*before, labels) {
		return // a new cut of every grant in it would have the same result
	}
	if labels == nil {
		labels = map[string]string{} // known to have none, as opposed to unknown
	}
	n.relabel(&labels)
}

// RemoveNamespace forgets a namespace: from now on only grants that name it count.
func (x *Index) RemoveNamespace(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := x.namespaces[name]; n != nil {
		n.relabel(nil)
		x.dropNamespace(n)
	}
}

// namespaceEntryOf returns the entry of a name, or nil if the name is empty.
func (x *Index) namespaceEntryOf(name string) *namespaceEntry {
	if name == "" {
		return nil
	}
	n := x.namespaces[name]
	if n == nil {
		n = &namespaceEntry{name: strings.Clone(name)} // the string may be a part of a much longer one
		if x.namespaces == nil {
			x.namespaces = map[string]*namespaceEntry{}
		}
		x.namespaces[n.name] = n
	}
	return n
}

func (x *Index) dropNamespace(n *namespaceEntry) {
	if len(n.grants) == 0 && n.labels.Load() == nil {
		delete(x.namespaces, n.name)
	}
}
