package verify

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
)

// namespaceEntry is a namespace by its name, whether or not one exists at the time.
type namespaceEntry struct {
	name   string
	labels atomic.Pointer[map[string]string] // nil: no namespace of that name is known
	grants []*grants                         // of records in it
}

// relabel takes in other labels; nil: there is no such namespace. What its grants amounted to no longer counts.
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

// cut returns what the grants amount to: what was asked for, within what the client holds, and unless n is nil within what
// the client or the user lets namespace n have.
func (g *grants) cut(c *Client, u *User, n *namespaceEntry) *Held {
	if n == nil {
		h := hold(c, u, g.roles, g.permissions, g.ranges)
		h.bind(g.userUID)
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
	h := hold(within, u, g.roles, g.permissions, g.ranges)
	h.Client, h.ungranted = c, !granted
	h.bind(g.userUID)
	return h
}

// bind makes h speak for the user of that uid alone. Where the record names no uid, the user must have been there at issue.
func (h *Held) bind(uid string) {
	switch {
	case h.User == nil:
	case uid == "":
		h.since = h.User.Since
	case uid != h.User.UID:
		h.stopped = true
	}
}

// SetNamespace takes in a namespace as it is now.
func (x *Index) SetNamespace(name string, labels map[string]string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := x.namespace(name)
	if before := n.labels.Load(); before != nil && maps.Equal(*before, labels) {
		return // a new cut of everything in it would come to the same
	}
	if labels == nil {
		labels = map[string]string{} // known to have none, as opposed to not known
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

// namespace returns the entry of a name; nil if it is empty.
func (x *Index) namespace(name string) *namespaceEntry {
	if name == "" {
		return nil
	}
	n := x.namespaces[name]
	if n == nil {
		n = &namespaceEntry{name: strings.Clone(name)} // what it came from may be much longer
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
