package quota

import (
	"slices"
	"time"
)

// entry returns the entry of a token, and creates it if there is none.
func (x *Index) entry(key Key) *entry {
	e := x.tokens[key]
	if e == nil {
		e = &entry{key: key}
		if x.tokens == nil {
			x.tokens = map[Key]*entry{}
		}
		x.tokens[key] = e
	}
	return e
}

// ledger returns the ledger of a client, and creates it if there is none.
func (x *Index) ledger(client string) *ledger {
	l := x.ledgers[client]
	if l == nil {
		l = newLedger()
		if x.ledgers == nil {
			x.ledgers = map[string]*ledger{}
		}
		x.ledgers[client] = l
	}
	return l
}

// clients returns the clients at which the token counts or waits.
func (a *entry) clients() []string {
	var list []string
	for _, c := range []Claim{a.Holds, a.reserved, a.Requested} {
		if c.Client != "" && !slices.Contains(list, c.Client) {
			list = append(list, c.Client)
		}
	}
	return list
}

// queues returns those of the clients at which tokens wait.
func (x *Index) queues(clients []string) []string {
	var list []string
	for _, name := range clients {
		l := x.ledgers[name]
		if l == nil || slices.Contains(list, name) {
			continue
		}
		for _, line := range l.queues {
			if len(line.waiting) > 0 {
				list = append(list, name)
				break
			}
		}
	}
	return list
}

// update removes the token from every ledger, changes it, and adds it again.
func (x *Index) update(e *entry, how func()) {
	touched := append(e.clients(), e.promised.Client)
	x.account(e, -1)
	how()
	x.account(e, 1)
	if e.isEmpty() {
		delete(x.tokens, e.key)
	} else {
		x.tokens[e.key] = e
	}
	for _, name := range touched {
		x.dropIfEmpty(name)
	}
}

// account adds the claims of a token to the ledgers, or subtracts them if n is -1.
func (x *Index) account(e *entry, n int) {
	if e.Holds.Client != "" {
		x.ledger(e.Holds.Client).count(e.Holds, Claim{}, n)
	}
	if e.reserved.Client != "" {
		x.ledger(e.reserved.Client).count(e.reserved, e.Holds, n)
	}
	if e.waits() {
		if l := x.ledger(e.Requested.Client); n > 0 {
			l.enqueue(e)
		} else {
			l.dequeue(e)
		}
	}
	if e.promised.Client != "" {
		setMember(x.ledger(e.promised.Client).promised, e, n)
	}
	if !e.observed {
		for _, name := range append(e.clients(), e.promised.Client) {
			if name != "" {
				setMember(x.ledger(name).unobserved, e, n)
			}
		}
	}
}

func setMember(set map[Key]*entry, e *entry, n int) {
	if n > 0 {
		set[e.key] = e
	} else {
		delete(set, e.key)
	}
}

// dropIfEmpty deletes a ledger that is empty.
func (x *Index) dropIfEmpty(client string) {
	if l := x.ledgers[client]; l != nil && l.isEmpty() {
		delete(x.ledgers, client)
	}
}

// dropLapsed deletes the claims at a client of tokens that no watch has delivered in time. They
// were never made, or are gone.
func (x *Index) dropLapsed(client string, now time.Time) {
	l := x.ledgers[client]
	if l == nil {
		return
	}
	for _, e := range l.lapsed(now) {
		x.update(e, func() { *e = entry{key: e.key} })
	}
}
