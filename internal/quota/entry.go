package quota

import (
	"cmp"
	"slices"
	"time"
)

// Key names an ApplicationToken.
type Key struct{ Namespace, Name string }

// Claim is the client, namespace and user whose quotas a token counts against. The zero Claim
// counts against none.
type Claim struct {
	Client    string
	Namespace string // empty: no grant limits it
	User      string // empty: the token acts for the client alone
}

// Request is the request of a token for quota.
type Request struct {
	Token   Key
	Claim   Claim
	Created time.Time // of the token; older tokens come first
}

// Observation is the observed state of an ApplicationToken.
type Observation struct {
	Created   time.Time
	Holds     Claim // the quotas that the token counts against
	Requested Claim // the quotas that it waits for
	// Unevaluated is set until the spec behind Requested has been evaluated. Such a token may have
	// no right to the quota. It therefore delays only younger tokens of its own namespace and user.
	Unevaluated bool
}

// entry is the state of one token.
type entry struct {
	Observation
	key      Key
	observed bool
	reserved Claim     // the reservation by Reserve or Allocate
	promised Claim     // the reservation by Promise
	promises int       // number of requests that were promised it and have not withdrawn
	until    time.Time // when the claims of a token that is never observed lapse
}

// isOlderThan reports whether a was declared before b. Namespaces and names order tokens of the
// same second.
func (a *entry) isOlderThan(b *entry) bool { return a.compare(b) < 0 }

func (a *entry) compare(b *entry) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.key.Namespace, b.key.Namespace), cmp.Compare(a.key.Name, b.key.Name))
}

// waits reports whether the token wants a quota that is not reserved for it yet.
func (a *entry) waits() bool { return a.Requested.Client != "" && a.Requested != a.reserved }

// isEmpty reports whether the entry can be deleted.
func (a *entry) isEmpty() bool {
	return !a.observed && a.Requested == Claim{} && a.reserved == Claim{} && a.promised == Claim{}
}

// ownUsage returns what the token itself contributes to the usage of a claim.
func (a *entry) ownUsage(c Claim) usage {
	var u usage
	for _, mine := range []Claim{a.Holds, a.reserved} {
		if mine.Client != c.Client {
			continue
		}
		u.client = 1
		if mine.Namespace == c.Namespace {
			u.namespace = 1
		}
		if mine.User == c.User {
			u.user = 1
		}
	}
	return u
}

// queueKey groups the tokens of one client that are served in order of age: those of one namespace
// and user.
type queueKey struct{ namespace, user string }

// waitQueue holds the tokens of a class that have no reservation, oldest first.
type waitQueue struct {
	waiting     []*entry
	unevaluated []*entry
}

// listFor returns the list that e belongs to.
func (l *waitQueue) listFor(e *entry) *[]*entry {
	if e.Unevaluated {
		return &l.unevaluated
	}
	return &l.waiting
}

func insertSorted(list *[]*entry, e *entry) {
	at, _ := slices.BinarySearchFunc(*list, e, (*entry).compare)
	*list = slices.Insert(*list, at, e)
}

func removeSorted(list *[]*entry, e *entry) {
	if at, there := slices.BinarySearchFunc(*list, e, (*entry).compare); there {
		*list = slices.Delete(*list, at, at+1)
	}
}

// olderUnevaluated returns the number of unevaluated tokens of the class that were declared before
// e.
func (l *waitQueue) olderUnevaluated(e *entry) int {
	if l == nil {
		return 0
	}
	at, _ := slices.BinarySearchFunc(l.unevaluated, e, (*entry).compare)
	return at
}
