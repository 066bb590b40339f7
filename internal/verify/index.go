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
)

// Index holds what is known of credentials, their owners and their clients. Readers take no lock,
// whatever their number; writers exclude each other. The zero Index is empty and ready.
type Index struct {
	entries record.Index[entry]
	used    stack
	telling *item // the next of those taken from the stack; for the caller of Used

	mu         sync.Mutex // held by writers, and guards the fields below
	removed    removed    // records, by their digests
	sessions   removed    // sessions, by the digest that their refresh tokens share
	ended      map[token.Digest]bool
	grants     map[string]*grants
	alike      map[string]*alike
	owners     map[string]*owner
	tenants    map[string]*tenant
	people     map[string]*person
	namespaces map[string]*namespaceEntry
}

// item holds what verification needs of a record, with its digest and its last use in one piece of
// memory. At a million records, the access to memory takes most of the time. An item has 128 bytes,
// which the allocator aligns to cache lines; the first of the two lines is enough for the decision.
// Fields that are not atomic never change once readers can see them.
type item = record.Item[entry]

type entry struct {
	grants    *grants
	who       *Owner
	expiresAt int64 // Unix seconds, as all times here; never: it does not expire
	kind      token.Kind
	suspended bool
	owner     atomic.Uint32 // state of the owner: running, exempt, both or neither

	home  *item  // holds the use of this credential: this item, or the first one that it replaced
	login *login // nil: a credential of a program
	use
}

const never = math.MaxInt64

// The states of the owner of an entry.
const (
	ownerRunning uint32 = 1 << iota // it exists and enables its credentials
	ownerExempt                     // its namespace needs no grant
)

// grants are what records were given. Records with equal grants share one value, and so the join
// with their client. Fields that verification reads come first, so that they share cache lines.
type grants struct {
	tenant    *tenant
	person    *person              // nil: the credential speaks for the client alone
	namespace *namespaceEntry      // nil: the owner has none
	held      atomic.Pointer[Held] // within the grants to the namespace
	exempt    atomic.Pointer[Held] // where the namespace needs no grant
	ranges    []netip.Prefix

	key                string
	userUID            string // of the person at issue; empty: not known, or the person is the owner
	roles, permissions []string
	alike              *alike // nil if there is no namespace
	users              int
}

// alike is shared by grants that differ only in the namespace.
type alike struct {
	key   string
	held  atomic.Pointer[Held] // the result for one of them
	users int
}

// tenant is a client by its name, whether or not it exists at the time.
type tenant struct {
	name  string
	now   atomic.Pointer[Client]
	users int
}

// under returns what the grants amount to under the current client, user and namespace. The cut is
// made once for each state of the three.
func (g *grants) under(c *Client, u *User, exempt bool) *Held {
	kept, n := &g.held, g.namespace
	if exempt {
		kept, n = &g.exempt, nil
	}
	for {
		h := kept.Load()
		switch {
		case h != nil && h.Client == c && h.User == u:
			return h
		case h == nil || !h.void():
			kept.CompareAndSwap(h, &Held{})
		default:
			// The namespace stores new labels first and a new void Held second, and labels are read
			// after this Held was loaded. So while this one is still in place, the cut is made with
			// the current labels.
			cut := g.alike.share(g.cut(c, u, n))
			kept.CompareAndSwap(h, cut)
			return cut
		}
	}
}

// void reports whether h is the placeholder for a cut that is yet to be made. Each void Held is
// stored in one place once.
func (h *Held) void() bool { return h.Client == nil }

// share returns an equal Held that is already there, or h. The tokens of a client in a thousand
// namespaces mostly hold the same. One Held stays in the processor's cache where a thousand do not.
func (a *alike) share(h *Held) *Held {
	if a == nil {
		return h
	}
	// A Held with another client or user would be evaluated again at each verification, however
	// equal it is.
	if same := a.held.Load(); same != nil && same.Client == h.Client && same.User == h.User && reflect.DeepEqual(same, h) {
		return same
	}
	a.held.Store(h)
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
	o := x.owner(subject(r.Owner), r.Owner.UID)
	it := newItem(r, x.grantsOf(r), o)
	it.Value.grants.users++
	o.add(it)
	before := x.entries.Find(r.Digest)
	if before != nil {
		it.Value.home = before.Value.home
	}
	x.entries.Set(it)
	if before != nil {
		x.leave(before)
	}
	x.stored(it.Value.home, r)
}

func newItem(r record.Record, g *grants, o *owner) *item {
	it := &item{Digest: r.Digest}
	e := &it.Value
	e.home, e.grants, e.who = it, g, o.last
	if e.who.UID != r.Owner.UID {
		e.who = &Owner{o.last.Subject, r.Owner.UID}
	}
	e.follow(o)
	e.kind, e.suspended, e.issuedAt, e.expiresAt = r.Kind, r.Suspended, seconds(r.IssuedAt.Unix()), never
	e.login = newLogin(r)
	if !r.ExpiresAt.IsZero() {
		e.expiresAt = r.ExpiresAt.Unix()
	}
	return it
}

// outside returns an item for a record that does not get into the index. The record may be deleted
// by now, and no event would report that.
func (x *Index) outside(r record.Record) *item {
	x.mu.Lock()
	defer x.mu.Unlock()
	o := x.owners[subject(r.Owner)]
	if o == nil {
		o = newOwner(subject(r.Owner), r.Owner.UID)
	}
	g := x.grants[grantsKey(r)]
	if g == nil {
		t := x.tenants[r.Client]
		if t == nil {
			t = &tenant{}
		}
		p := x.people[r.User]
		if p == nil && r.User != "" {
			p = &person{}
		}
		n := x.namespaces[r.Owner.Namespace]
		if n == nil && r.Owner.Namespace != "" {
			n = &namespaceEntry{name: r.Owner.Namespace}
		}
		g = newGrants(r, t, p, n)
	}
	it := newItem(r, g, o)
	if !r.LastUsedAt.IsZero() {
		it.Value.storedAt.Store(seconds(r.LastUsedAt.Unix()))
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
	x.leave(before)
	return true
}

// SetClient stores the current state of a client.
func (x *Index) SetClient(c Client) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tenant(c.Name).now.Store(&c)
}

// RemoveClient forgets a client: from now on every credential of it is rejected.
func (x *Index) RemoveClient(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if t := x.tenants[name]; t != nil {
		t.now.Store(nil)
		x.drop(t)
	}
}

func id(d token.Digest) ID { return ID(d[:len(ID{})]) }

// grantsOf returns the grants of a record, shared with other records.
func (x *Index) grantsOf(r record.Record) *grants {
	key := grantsKey(r)
	if g := x.grants[key]; g != nil {
		return g
	}
	g := newGrants(r, x.tenant(r.Client), x.person(r.User), x.namespace(r.Owner.Namespace))
	g.alike = x.alikeOf(r)
	g.tenant.users++
	if g.namespace != nil {
		g.namespace.grants = append(g.namespace.grants, g)
		g.alike.users++
	}
	if g.person != nil {
		g.person.users++
	}
	if x.grants == nil {
		x.grants = map[string]*grants{}
	}
	x.grants[key] = g
	return g
}

func newGrants(r record.Record, t *tenant, p *person, n *namespaceEntry) *grants {
	return &grants{
		key: grantsKey(r), tenant: t, person: p, userUID: r.UserUID, namespace: n,
		roles: slices.Clone(r.Roles), permissions: slices.Clone(r.Permissions), ranges: Ranges(r.SourceRanges),
	}
}

// alikeOf returns the part of a record's grants that other namespaces share; nil if the record has
// no namespace.
func (x *Index) alikeOf(r record.Record) *alike {
	if r.Owner.Namespace == "" {
		return nil
	}
	r.Owner.Namespace = ""
	key := grantsKey(r)
	a := x.alike[key]
	if a == nil {
		a = &alike{key: key}
		if x.alike == nil {
			x.alike = map[string]*alike{}
		}
		x.alike[key] = a
	}
	return a
}

// grantsKey returns equal keys for equal grants. It is unambiguous because no name in it has a
// space or a newline.
func grantsKey(r record.Record) string {
	return strings.Join([]string{
		r.Client, r.User, r.UserUID, r.Owner.Namespace, strings.Join(r.Roles, " "), strings.Join(r.Permissions, " "), strings.Join(r.SourceRanges, " "),
	}, "\n")
}

func (x *Index) tenant(name string) *tenant {
	t := x.tenants[name]
	if t == nil {
		t = &tenant{name: name}
		if x.tenants == nil {
			x.tenants = map[string]*tenant{}
		}
		x.tenants[name] = t
	}
	return t
}

// leave releases the values that an item shared with others.
func (x *Index) leave(it *item) {
	who := x.owners[it.Value.who.Subject]
	who.remove(it)
	x.forget(who)
	g := it.Value.grants
	if g.users--; g.users > 0 {
		return
	}
	delete(x.grants, g.key)
	g.tenant.users--
	x.drop(g.tenant)
	if g.person != nil {
		g.person.users--
		x.dismiss(g.person)
	}
	if g.namespace != nil {
		g.namespace.leave(g)
		x.dropNamespace(g.namespace)
		if g.alike.users--; g.alike.users == 0 {
			delete(x.alike, g.alike.key)
		}
	}
}

func (x *Index) drop(t *tenant) {
	if t.users == 0 && t.now.Load() == nil {
		delete(x.tenants, t.name)
	}
}
