package verify

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
)

// accountCache caches what users hold at clients, for users that present a name and a password. It
// has a fixed number of slots: a new account replaces an old one, and it never grows.
//
// An entry is never stale. It points at the entries of the user and of the client in the index, and
// reads their state at each use. An entry that left the index has no state any more.
type accountCache struct {
	slots [1 << 10]atomic.Pointer[account]
}

// account is a user at a client.
type account struct {
	grants *grants // with neither roles nor permissions of its own
	owner  Owner
}

// accountSeed is the seed of the slots. It keeps callers from choosing names that share a slot.
var accountSeed = maphash.MakeSeed()

type accountKey struct{ user, client string }

func (c *accountCache) slot(key accountKey) *atomic.Pointer[account] {
	return &c.slots[maphash.Comparable(accountSeed, key)%uint64(len(c.slots))]
}

// PasswordIdentity returns the Identity of a user at a client who presented a username and a
// password just now, from that address. There is no credential of this operator. from must be
// unmapped and without a zone. Except for the first call about an account, it takes no lock.
func (v *Verifier) PasswordIdentity(user, client string, from netip.Addr) (Identity, Verdict) {
	if !v.IsFresh() {
		return Identity{}, Stale
	}
	return v.index.passwordIdentity(user, client, from)
}

func (x *Index) passwordIdentity(user, client string, from netip.Addr) (Identity, Verdict) {
	slot := x.joins.slot(accountKey{user, client})
	a := slot.Load()
	if a == nil || !a.isOf(user, client) {
		a = x.newAccount(user, client)
		slot.Store(a)
	}
	var u *User
	c := a.grants.client.current.Load()
	if a.grants.user != nil {
		u = a.grants.user.current.Load()
	}
	switch {
	case c == nil:
		return Identity{}, ClientMissing
	case c.Suspended:
		return Identity{}, ClientSuspended
	case u == nil || !u.isAllowedAt(client):
		return Identity{}, UserDisabled
	case !inRanges(c.Ranges, from):
		return Identity{}, SourceRefused
	}
	owner := &a.owner
	if owner.UID != u.UID {
		owner = &Owner{Subject: u.Name, UID: u.UID}
	}
	return Identity{Held: a.grants.heldNow(c, u, false), Owner: owner}, Valid
}

// isOf reports whether an account is that of a user at a client, and both are still in the index.
func (a *account) isOf(user, client string) bool {
	g := a.grants
	return g.user != nil && g.user.name == user && g.client.name == client && g.user.current.Load() != nil && g.client.current.Load() != nil
}

// newAccount returns the account of a user at a client, whether or not there is one.
func (x *Index) newAccount(user, client string) *account {
	x.mu.Lock()
	defer x.mu.Unlock()
	a := &account{grants: &grants{client: &clientEntry{name: client}, user: x.users[user]}}
	if c := x.clients[client]; c != nil {
		a.grants.client = c
	}
	if a.grants.user != nil {
		if u := a.grants.user.current.Load(); u != nil {
			a.owner = Owner{Subject: u.Name, UID: u.UID}
		}
	}
	return a
}
