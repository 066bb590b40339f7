package quota

import (
	"cmp"
	"slices"
	"time"
)

// Key names an ApplicationToken.
type Key struct{ Namespace, Name string }

// Claim is what a token counts for. The zero Claim counts for nothing.
type Claim struct {
	Client    string
	Namespace string // empty: no grant limits it
	User      string // empty: the token speaks for the client alone
}

// Observation is what an ApplicationToken says of itself.
type Observation struct {
	Created time.Time
	Holds   Claim // where the token has a place
	Wants   Claim // where it waits for one
	// Unevaluated is set while nobody has evaluated what Wants rests on. Such a token may have no right to a place: it holds up
	// the younger ones of its own namespace and user, and nobody else.
	Unevaluated bool
}

// entry is what is known of a token.
type entry struct {
	Observation
	key      Key
	observed bool
	reserved Claim     // the place that Reserve or Allocate gave it
	promised Claim     // the place that Promise gave it
	promises int       // how many requests were promised that place, and have not withdrawn
	until    time.Time // when claims of what is never observed lapse
}

// before reports whether a was declared before b. Names decide among those of one second.
func (a *entry) before(b *entry) bool { return a.compare(b) < 0 }

func (a *entry) compare(b *entry) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.key.Namespace, b.key.Namespace), cmp.Compare(a.key.Name, b.key.Name))
}

// waits reports whether the token wants a place that it was not given yet.
func (a *entry) waits() bool { return a.Wants.Client != "" && a.Wants != a.reserved }

// empty reports whether nothing is known that would have to be kept.
func (a *entry) empty() bool {
	return !a.observed && a.Wants == Claim{} && a.reserved == Claim{} && a.promised == Claim{}
}

// own is what the token itself contributes to the usage of a claim.
func (a *entry) own(c Claim) usage {
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

// class is whose tokens of one client come one after another: those of a namespace and a user.
type class struct{ namespace, user string }

// line is the tokens of a class without a place, the oldest first.
type line struct {
	waiting     []*entry
	unevaluated []*entry
}

func (l *line) of(e *entry) *[]*entry {
	if e.Unevaluated {
		return &l.unevaluated
	}
	return &l.waiting
}

func insert(list *[]*entry, e *entry) {
	at, _ := slices.BinarySearchFunc(*list, e, (*entry).compare)
	*list = slices.Insert(*list, at, e)
}

func remove(list *[]*entry, e *entry) {
	if at, there := slices.BinarySearchFunc(*list, e, (*entry).compare); there {
		*list = slices.Delete(*list, at, at+1)
	}
}

// older counts the unevaluated tokens of the class that were declared before e.
func (l *line) older(e *entry) int {
	if l == nil {
		return 0
	}
	at, _ := slices.BinarySearchFunc(l.unevaluated, e, (*entry).compare)
	return at
}
