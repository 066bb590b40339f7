package verify

import (
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify/hashtable"
)

// Index holds what is known of credentials, their owners and their clients. Readers take no lock,
// whatever their number; writers exclude each other. The zero Index is empty and ready.
type Index struct {
	entries   hashtable.Table[entry]
	usedItems useStack
	nextUsed  *item // the next of those taken from the stack; for the caller of TakeUses
	joins     accountCache
	// basicClients is the number of clients that allow Basic and are not suspended.
	basicClients atomic.Int32

	mu           sync.Mutex     // held by writers, and guards the fields below
	removed      removedRecords // records, by their digests
	sessions     removedRecords // sessions, by the digest that their refresh tokens share
	ended        map[token.Digest]bool
	grants       map[string]*grants
	sharedGrants map[string]*sharedGrants
	owners       map[string]*ownerEntry
	clients      map[string]*clientEntry
	users        map[string]*userEntry
	namespaces   map[string]*namespaceEntry
}

// item holds what verification needs of a record, with its digest and its last use in one piece of
// memory. At a million records, the access to memory takes most of the time. An item has 128 bytes,
// which the allocator aligns to cache lines; the first of the two lines is enough for the decision.
// Fields that are not atomic never change once readers can see them.
type item = hashtable.Item[entry]

type entry struct {
	grants      *grants
	ownerRef    *Owner
	expiresAt   int64 // Unix seconds, as all times here; never: it does not expire
	kind        token.Kind
	isSuspended bool
	ownerState  atomic.Uint32 // state of the owner: enabled, exempt, both or neither

	useItem *item       // holds the use of this credential: this item, or the first one that it replaced
	login   *loginState // nil: a credential of a program
	lastUseState
}

const never = math.MaxInt64

// The states of the owner of an entry.
const (
	ownerEnabled uint32 = 1 << iota // it exists and enables its credentials
	ownerExempt                     // its namespace needs no grant
)

// grants are what records were given. Records with equal grants share one value, and so the join
// with their client. Fields that verification reads come first, so that they share cache lines.
type grants struct {
	client    *clientEntry
	user      *userEntry           // nil: the credential speaks for the client alone
	namespace *namespaceEntry      // nil: the owner has none
	held      atomic.Pointer[Held] // within the grants to the namespace
	exempt    atomic.Pointer[Held] // where the namespace needs no grant
	ranges    []netip.Prefix

	key                string
	userUID            string // of the user at issue; empty: not known, or the user is the owner
	roles, permissions []string
	isNarrowed         bool          // the permissions narrow what the user, or the parent, holds
	parent             token.Digest  // of an access token; zero: it is none
	shared             *sharedGrants // nil if there is no namespace
	refs               int
}

// sharedGrants is shared by grants that differ only in the namespace.
type sharedGrants struct {
	key  string
	held atomic.Pointer[Held] // the result for one of them
	refs int
}

// clientEntry is a client by its name, whether or not it exists at the time.
type clientEntry struct {
	name    string
	current atomic.Pointer[Client]
	refs    int
}

// heldNow returns what the grants amount to under the current client, user and namespace. The cut
// is made once for each state of the three.
func (g *grants) heldNow(c *Client, u *User, exempt bool) *Held {
	kept, n := &g.held, g.namespace
	if exempt {
		kept, n = &g.exempt, nil
	}
	for {
		h := kept.Load()
		switch {
		case h != nil && h.Client == c && h.User == u:
			return h
		case h == nil || !h.isPlaceholder():
			kept.CompareAndSwap(h, &Held{})
		default:
			// The namespace stores new labels first and a new placeholder second, and labels are
			// read after this placeholder was loaded. So while it is still in place, the cut is
			// made with the current labels.
			cut := g.shared.deduplicate(g.cut(c, u, n))
			kept.CompareAndSwap(h, cut)
			return cut
		}
	}
}

// isPlaceholder reports whether h is the placeholder for a cut that is yet to be made. Each
// placeholder is stored in one place once.
func (h *Held) isPlaceholder() bool { return h.Client == nil }

// deduplicate returns an equal Held that is already there, or h. The tokens of a client in a
// thousand namespaces mostly hold the same. One Held stays in the processor's cache where a
// thousand do not.
func (s *sharedGrants) deduplicate(h *Held) *Held {
	if s == nil {
		return h
	}
	// A Held with another client or user would be evaluated again at each verification, however
	// equal it is.
	if same := s.held.Load(); same != nil && same.Client == h.Client && same.User == h.User && reflect.DeepEqual(same, h) {
		return same
	}
	s.held.Store(h)
	return h
}

// Len returns the number of records.
func (x *Index) Len() int { return x.entries.Len() }

// Set stores a record, in place of the former state of its credential.
func (x *Index) Set(r record.Record) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended[r.Digest] {
		return // the watch reports a state before its end
	}
	x.removed.drop(r.Digest)
	o := x.ownerEntryOf(ownerSubject(r.Owner), r.Owner.UID)
	it := newItem(r, x.grantsOf(r), o)
	it.Value.grants.refs++
	o.add(it)
	before := x.entries.Find(r.Digest)
	if before != nil {
		it.Value.useItem = before.Value.useItem
	}
	x.entries.Set(it)
	if before != nil {
		x.releaseItem(before)
	}
	x.noteStored(it.Value.useItem, r)
}

func newItem(r record.Record, g *grants, o *ownerEntry) *item {
	it := &item{Digest: r.Digest}
	e := &it.Value
	e.useItem, e.grants, e.ownerRef = it, g, o.current
	if e.ownerRef.UID != r.Owner.UID {
		e.ownerRef = &Owner{o.current.Subject, r.Owner.UID}
	}
	e.setOwnerState(o)
	e.kind, e.isSuspended, e.issuedAt, e.expiresAt = r.Kind, r.Suspended, clampSeconds(r.IssuedAt.Unix()), never
	e.login = newLoginState(r)
	if !r.ExpiresAt.IsZero() {
		e.expiresAt = r.ExpiresAt.Unix()
	}
	return it
}

// unindexedItem returns an item for a record that does not get into the index. The record may be
// deleted by now, and no event would report that.
func (x *Index) unindexedItem(r record.Record) *item {
	x.mu.Lock()
	defer x.mu.Unlock()
	o := x.owners[ownerSubject(r.Owner)]
	if o == nil {
		o = newOwnerEntry(ownerSubject(r.Owner), r.Owner.UID)
	}
	g := x.grants[grantsKey(r)]
	if g == nil {
		c := x.clients[r.Client]
		if c == nil {
			c = &clientEntry{}
		}
		u := x.users[r.User]
		if u == nil && r.User != "" {
			u = &userEntry{}
		}
		n := x.namespaces[r.Owner.Namespace]
		if n == nil && r.Owner.Namespace != "" {
			n = &namespaceEntry{name: r.Owner.Namespace}
		}
		g = newGrants(r, c, u, n)
	}
	it := newItem(r, g, o)
	if !r.LastUsedAt.IsZero() {
		it.Value.storedAt.Store(clampSeconds(r.LastUsedAt.Unix()))
	}
	return it
}

// Remove forgets a record: from now on its credential is rejected.
func (x *Index) Remove(d token.Digest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.ended, d)
	x.remove(d)
}

// End rejects a credential whose record was deleted just now. If the index holds the credential,
// later calls of Set for it are older than that, and have no effect until Remove.
func (x *Index) End(d token.Digest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.remove(d) {
		return
	}
	if x.ended == nil {
		x.ended = map[token.Digest]bool{}
	}
	x.ended[d] = true
}

func (x *Index) remove(d token.Digest) bool {
	before := x.entries.Find(d)
	if before == nil {
		return false
	}
	x.removed.add(knownOf(before), d, before.Value.expiresAt)
	x.entries.Remove(d)
	x.releaseItem(before)
	return true
}

// SetClient stores the current state of a client.
func (x *Index) SetClient(c Client) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.countBasic(x.clientEntryOf(c.Name).current.Swap(&c), &c)
}

// RemoveClient forgets a client: from now on every credential of it is rejected.
func (x *Index) RemoveClient(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c := x.clients[name]; c != nil {
		x.countBasic(c.current.Swap(nil), nil)
		x.dropClient(c)
	}
}

func recordIDOf(d token.Digest) ID { return ID(d[:len(ID{})]) }

// grantsOf returns the grants of a record, shared with other records.
func (x *Index) grantsOf(r record.Record) *grants {
	key := grantsKey(r)
	if g := x.grants[key]; g != nil {
		return g
	}
	g := newGrants(r, x.clientEntryOf(r.Client), x.userEntryOf(r.User), x.namespaceEntryOf(r.Owner.Namespace))
	g.shared = x.sharedGrantsOf(r)
	g.client.refs++
	if g.namespace != nil {
		g.namespace.grants = append(g.namespace.grants, g)
		g.shared.refs++
	}
	if g.user != nil {
		g.user.refs++
	}
	if x.grants == nil {
		x.grants = map[string]*grants{}
	}
	x.grants[key] = g
	return g
}

func newGrants(r record.Record, c *clientEntry, u *userEntry, n *namespaceEntry) *grants {
	return &grants{
		key: grantsKey(r), client: c, user: u, userUID: r.UserUID, namespace: n,
		roles: slices.Clone(r.Roles), permissions: slices.Clone(r.Permissions), ranges: ParseRanges(r.SourceRanges),
		isNarrowed: (isLogin(r.Kind) || r.Kind == token.Access) && len(r.Permissions) > 0, parent: r.Parent,
	}
}

// sharedGrantsOf returns the part of a record's grants that other namespaces share; nil if the
// record has no namespace.
func (x *Index) sharedGrantsOf(r record.Record) *sharedGrants {
	if r.Owner.Namespace == "" {
		return nil
	}
	r.Owner.Namespace = ""
	key := grantsKey(r)
	s := x.sharedGrants[key]
	if s == nil {
		s = &sharedGrants{key: key}
		if x.sharedGrants == nil {
			x.sharedGrants = map[string]*sharedGrants{}
		}
		x.sharedGrants[key] = s
	}
	return s
}

// grantsKey returns equal keys for equal grants. It is unambiguous because no name in it has a
// space or a newline, and the last part has a fixed length.
func grantsKey(r record.Record) string {
	return strings.Join([]string{
		r.Client, r.User, r.UserUID, r.Owner.Namespace, strings.Join(r.Roles, " "), strings.Join(r.Permissions, " "), strings.Join(r.SourceRanges, " "),
		parentKey(r),
	}, "\n")
}

// parentKey returns the part of the key that distinguishes access tokens.
func parentKey(r record.Record) string {
	if r.Kind != token.Access {
		return ""
	}
	return string(r.Parent[:])
}

func (x *Index) clientEntryOf(name string) *clientEntry {
	c := x.clients[name]
	if c == nil {
		c = &clientEntry{name: name}
		if x.clients == nil {
			x.clients = map[string]*clientEntry{}
		}
		x.clients[name] = c
	}
	return c
}

// releaseItem releases the values that an item shared with others.
func (x *Index) releaseItem(it *item) {
	o := x.owners[it.Value.ownerRef.Subject]
	o.remove(it)
	x.dropOwner(o)
	g := it.Value.grants
	if g.refs--; g.refs > 0 {
		return
	}
	delete(x.grants, g.key)
	g.client.refs--
	x.dropClient(g.client)
	if g.user != nil {
		g.user.refs--
		x.dropUser(g.user)
	}
	if g.namespace != nil {
		g.namespace.leave(g)
		x.dropNamespace(g.namespace)
		if g.shared.refs--; g.shared.refs == 0 {
			delete(x.sharedGrants, g.shared.key)
		}
	}
}

func (x *Index) dropClient(c *clientEntry) {
	if c.refs == 0 && c.current.Load() == nil {
		delete(x.clients, c.name)
	}
}
