package quota

import (
	"slices"
	"sync"
	"time"
)

// unobservedFor is how long a reservation is kept for a token that no watch has delivered. It is
// longer than a watch should lag, and longer than an HTTP request takes.
const unobservedFor = time.Minute

// Index counts the tokens of all clients. It is safe for concurrent use. The zero Index is empty
// and ready to use.
type Index struct {
	mu      sync.Mutex
	tokens  map[Key]*entry
	ledgers map[string]*ledger
}

// Observe records the observed state of a token. It returns the clients at which a waiting token
// may now have advanced.
func (x *Index) Observe(key Key, o Observation) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.tokens[key]
	if e != nil && e.observed && e.Observation == o && e.promised == (Claim{}) && (e.reserved == Claim{} || e.reserved != o.Holds) {
		return nil
	}
	e = x.entry(key)
	before := e.clients()
	x.update(e, func() {
		e.Observation, e.observed, e.promised, e.promises = o, true, Claim{}, 0
		if e.reserved == o.Holds {
			e.reserved = Claim{} // used up
		}
	})
	return x.queues(append(before, e.clients()...))
}

// Forget removes a deleted token. It returns the clients at which a waiting token may now have
// advanced.
func (x *Index) Forget(key Key) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.tokens[key]
	if e == nil {
		return nil
	}
	before := e.clients()
	x.update(e, func() { *e = entry{key: key, promised: e.promised, promises: e.promises, until: e.until} }) // a token of the same name may be about to be made
	return x.queues(before)
}

// Reserve reserves the quota that a token claims, unless older tokens come first. It reserves quota
// for those older tokens too, and returns them. A reservation that is not used must be returned by
// Release.
func (x *Index) Reserve(r Request, limits Limits, now time.Time) (Verdict, []Key) {
	key, c := r.Token, r.Claim
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropLapsed(c.Client, now)
	e := x.entry(key)
	if e.reserved == c {
		return Verdict{Granted: true}, nil
	}
	x.update(e, func() {
		e.Created, e.Requested, e.Unevaluated, e.reserved = r.Created, c, false, Claim{}
		e.until = now.Add(unobservedFor)
	})
	given := x.allocate(c.Client, limits)
	if at := slices.Index(given, key); at >= 0 {
		return Verdict{Granted: true}, slices.Delete(given, at, at+1)
	}
	verdict := evaluate(c, x.ledger(c.Client).usage(e, c), limits)
	if verdict.Granted { // an older token of its class cannot be served, and so this one cannot either
		verdict = Verdict{Scope: OfClient, Limit: limits.Client, Before: x.ledger(c.Client).used}
	}
	return verdict, given
}

// Release returns an unused reservation and records the observed state of its token. It returns the
// clients at which a waiting token may now have advanced.
func (x *Index) Release(key Key, o Observation) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.tokens[key]
	if e == nil || e.reserved == (Claim{}) || e.reserved == o.Holds { // it is used, and the watch will deliver that
		return nil
	}
	before := e.clients()
	x.update(e, func() { e.Observation, e.reserved = o, Claim{} })
	return x.queues(before)
}

// Abandon drops every reservation, because this replica no longer reconciles. Another replica
// decides from now on, and may reserve the quota for other tokens.
func (x *Index) Abandon() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.tokens {
		if e.reserved != (Claim{}) {
			x.update(e, func() { e.reserved = Claim{} })
		}
	}
}

// Allocate reserves the free quota of a client for the waiting tokens, oldest first, and returns
// these tokens.
func (x *Index) Allocate(client string, limits Limits) []Key {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.allocate(client, limits)
}

func (x *Index) allocate(client string, limits Limits) []Key {
	var given []Key
	for _, g := range x.reserveFree(client, limits) {
		given = append(given, g.entry.key)
	}
	return given
}

// reservation is a reservation that a token was given, and the reservation that it had before.
type reservation struct {
	entry    *entry
	previous Claim
}

// reserveFree reserves the free quota of a client and returns the reservations.
func (x *Index) reserveFree(client string, limits Limits) []reservation {
	var given []reservation
	l := x.ledger(client)
	for e := l.oldestServable(limits); e != nil; e = l.oldestServable(limits) {
		given = append(given, reservation{e, e.reserved})
		x.update(e, func() { e.reserved = e.Requested })
	}
	x.dropIfEmpty(client)
	return given
}

// Promise reserves quota for a token that is about to be made, unless the waiting tokens need all
// that is left. The promise lasts until the token is observed, or until each request that was
// promised it has called Withdraw. If two requests ask for one name, the later one must not cancel
// the promise to the other.
func (x *Index) Promise(key Key, c Claim, limits Limits, now time.Time) Verdict {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropLapsed(c.Client, now)
	e := x.entry(key)
	was := e.Observation
	x.update(e, func() { e.Requested = Claim{} })
	given := x.reserveFree(c.Client, limits) // to the waiting tokens, to compute what they leave
	l := x.ledger(c.Client)
	taken, promised, own := usage{l.used, l.namespaces[c.Namespace], l.users[c.User]}, l.promises(e, c), e.ownUsage(c)
	verdict := evaluate(c, usage{
		taken.client - own.client + promised.client,
		taken.namespace - own.namespace + promised.namespace,
		taken.user - own.user + promised.user,
	}, limits)
	for _, g := range given {
		x.update(g.entry, func() { g.entry.reserved = g.previous })
	}
	x.update(e, func() {
		e.Observation = was
		if verdict.Granted {
			e.promised, e.promises, e.until = c, e.promises+1, now.Add(unobservedFor)
		}
	})
	return verdict
}

// Withdraw cancels the promise to one request.
func (x *Index) Withdraw(key Key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.tokens[key]
	if e == nil || e.promises == 0 {
		return
	}
	x.update(e, func() {
		if e.promises--; e.promises == 0 {
			e.promised = Claim{}
		}
	})
}

// Waiting returns the namespaces with tokens that wait for the quota of a client; nil if no token
// waits.
func (x *Index) Waiting(client string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.ledgers[client]
	if l == nil {
		return nil
	}
	var list []string
	for k, line := range l.queues {
		if len(line.waiting) > 0 && !slices.Contains(list, k.namespace) {
			list = append(list, k.namespace)
		}
	}
	return list
}
