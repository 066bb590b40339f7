package password

import (
	"net/netip"
	"slices"
)

// waiter is a check that waits for slots, or holds them.
type waiter struct {
	pair
	isKnown  bool
	slots    int64
	isQueued bool
	// slotsGranted receives true when the check has its slots, and false when it is displaced. It
	// has room for one value.
	slotsGranted chan bool
	isRunning    bool // for the goroutine of the check alone
}

// queue orders waiting checks. Sources take turns: it always serves the oldest check of the source
// that was served longest ago. A source that sends many checks therefore delays the check of
// another source by one of its own. It is not safe for concurrent use.
type queue struct {
	sourceQueues []*sourceQueue // in the order of their turns; none is empty
	size         int
}

// sourceQueue holds the waiting checks of one source, the oldest first.
type sourceQueue struct {
	source  netip.Prefix
	waiters []*waiter
}

// queueOf returns the line of a source, or nil if none of its checks waits.
func (q *queue) queueOf(source netip.Prefix) *sourceQueue {
	for _, l := range q.sourceQueues {
		if l.source == source {
			return l
		}
	}
	return nil
}

// push adds a check behind those of its source. A new source gets its turn after all others.
func (q *queue) push(w *waiter) {
	l := q.queueOf(w.source)
	if l == nil {
		l = &sourceQueue{source: w.source}
		q.sourceQueues = append(q.sourceQueues, l)
	}
	l.waiters = append(l.waiters, w)
	w.isQueued = true
	q.size++
}

// peek returns the check whose turn it is, without removing it, or nil if none waits.
func (q *queue) peek() *waiter {
	if len(q.sourceQueues) == 0 {
		return nil
	}
	return q.sourceQueues[0].waiters[0]
}

// pop removes the check whose turn it is. Its source gets its next turn after all others.
func (q *queue) pop() *waiter {
	w := q.peek()
	if w == nil {
		return nil
	}
	q.sourceQueues = append(q.sourceQueues[1:], q.sourceQueues[0])
	q.remove(w)
	return w
}

// remove removes a waiting check.
func (q *queue) remove(w *waiter) {
	l := q.queueOf(w.source)
	l.waiters = slices.DeleteFunc(l.waiters, func(x *waiter) bool { return x == w })
	if len(l.waiters) == 0 {
		q.sourceQueues = slices.DeleteFunc(q.sourceQueues, func(x *sourceQueue) bool { return x == l })
	}
	w.isQueued = false
	q.size--
}

// displaceable returns the check to remove for a check of another source when no more may wait. It
// is the youngest check of the source that has the most. It is nil if that source would then have
// less than the other one.
func (q *queue) displaceable(by netip.Prefix) *waiter {
	most, own := 0, 0
	var longest *sourceQueue
	for _, l := range q.sourceQueues {
		if l.source == by {
			own = len(l.waiters)
		}
		if len(l.waiters) > most {
			most, longest = len(l.waiters), l
		}
	}
	if most <= own+1 {
		return nil
	}
	return longest.waiters[most-1]
}
