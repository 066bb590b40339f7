package quota

import "time"

// ledger counts the tokens of one client.
type ledger struct {
	used       int
	namespaces map[string]int
	users      map[string]int
	lines      map[class]*line
	promised   map[Key]*entry
	unobserved map[Key]*entry // tokens whose claims lapse
}

func newLedger() *ledger {
	return &ledger{
		namespaces: map[string]int{}, users: map[string]int{}, lines: map[class]*line{},
		promised: map[Key]*entry{}, unobserved: map[Key]*entry{},
	}
}

func (l *ledger) empty() bool {
	return l.used == 0 && len(l.lines) == 0 && len(l.promised) == 0 && len(l.unobserved) == 0
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
		bump(l.namespaces, c.Namespace, n)
	}
	if !same || c.User != other.User {
		bump(l.users, c.User, n)
	}
}

func bump(m map[string]int, key string, n int) {
	if m[key] += n; m[key] == 0 {
		delete(m, key)
	}
}

func (l *ledger) line(e *entry) {
	k := class{e.Wants.Namespace, e.Wants.User}
	if l.lines[k] == nil {
		l.lines[k] = &line{}
	}
	insert(l.lines[k].of(e), e)
}

func (l *ledger) unline(e *entry) {
	k := class{e.Wants.Namespace, e.Wants.User}
	of := l.lines[k]
	remove(of.of(e), e)
	if len(of.waiting) == 0 && len(of.unevaluated) == 0 {
		delete(l.lines, k)
	}
}

// usage returns what comes before e where it claims c: the tokens of others, and older tokens of
// its class that nothing has evaluated yet.
func (l *ledger) usage(e *entry, c Claim) usage {
	own, older := e.own(c), l.lines[class{c.Namespace, c.User}].older(e)
	return usage{
		client:    l.used - own.client + older,
		namespace: l.namespaces[c.Namespace] - own.namespace + older,
		user:      l.users[c.User] - own.user + older,
	}
}

// next returns the oldest waiting token that may be served; nil if there is none.
func (l *ledger) next(limits Limits) *entry {
	var oldest *entry
	for _, line := range l.lines {
		if len(line.waiting) == 0 {
			continue
		}
		head := line.waiting[0] // the younger tokens of its class cannot be served before it
		if (oldest == nil || head.before(oldest)) && evaluate(head.Wants, l.usage(head, head.Wants), limits).Granted {
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
