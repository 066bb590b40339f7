package quota

import (
	"time"
)

// ledger counts the tokens of one client.
type ledger struct {
	used       int
	namespaces map[string]int
	users      map[string]int
	queues     map[queueKey]*waitQueue
	promised   map[Key]*entry
	unobserved map[Key]*entry // tokens whose claims lapse
}

func newLedger() *ledger {
	return &ledger{
		namespaces: map[string]int{}, users: map[string]int{}, queues: map[queueKey]*waitQueue{},
		promised: map[Key]*entry{}, unobserved: map[Key]*entry{},
	}
}

func (l *ledger) isEmpty() bool {
	return l.used == 0 && len(l.queues) == 0 && len(l.promised) == 0 && len(l.unobserved) == 0
}

// count adds a claim to the ledger, or subtracts it if n is -1. The part that it shares with other
// is counted already. A token that moves from one user of a client to another counts once for the
// client, and for both users.
func (l *ledger) count(c, other Claim, n int) {
	same := c.Client == other.Client
	if !same {
		l.used += n
	}
	if !same || c.Namespace != other.Namespace {
		addCount(l.namespaces, c.Namespace, n)
	}
	if !same || c.User != other.User {
		addCount(l.users, c.User, n)
	}
}

func addCount(m map[string]int, key string, n int) {
	if m[key] += n; m[key] == 0 {
		delete(m, key)
	}
}

func (l *ledger) enqueue(e *entry) {
	k := queueKey{e.Requested.Namespace, e.Requested.User}
	if l.queues[k] == nil {
		l.queues[k] = &waitQueue{}
	}
	insertSorted(l.queues[k].listFor(e), e)
}

func (l *ledger) dequeue(e *entry) {
	k := queueKey{e.Requested.Namespace, e.Requested.User}
	of := l.queues[k]
	removeSorted(of.listFor(e), e)
	if len(of.waiting) == 0 && len(of.unevaluated) == 0 {
		delete(l.queues, k)
	}
}

// usage returns what comes before e where it claims c: the tokens of others, and older tokens of
// its class that nothing has evaluated yet.
func (l *ledger) usage(e *entry, c Claim) usage {
	own, older := e.ownUsage(c), l.queues[queueKey{c.Namespace, c.User}].olderUnevaluated(e)
	return usage{
		client:    l.used - own.client + older,
		namespace: l.namespaces[c.Namespace] - own.namespace + older,
		user:      l.users[c.User] - own.user + older,
	}
}

// oldestServable returns the oldest waiting token that may be served; nil if there is none.
func (l *ledger) oldestServable(limits Limits) *entry {
	var oldest *entry
	for _, line := range l.queues {
		if len(line.waiting) == 0 {
			continue
		}
		head := line.waiting[0] // the younger tokens of its class cannot be served before it
		if (oldest == nil || head.isOlderThan(oldest)) && evaluate(head.Requested, l.usage(head, head.Requested), limits).Granted {
			oldest = head
		}
	}
	return oldest
}

// promises returns the promises to other tokens.
func (l *ledger) promises(e *entry, c Claim) usage {
	var u usage
	for _, other := range l.promised {
		if other == e {
			continue
		}
		u.client++
		if other.promised.Namespace == c.Namespace {
			u.namespace++
		}
		if other.promised.User == c.User {
			u.user++
		}
	}
	return u
}

// lapsed returns the tokens whose claims have lapsed because they were not observed in time.
func (l *ledger) lapsed(now time.Time) []*entry {
	var out []*entry
	for _, e := range l.unobserved {
		if now.After(e.until) {
			out = append(out, e)
		}
	}
	return out
}
