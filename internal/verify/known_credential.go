package verify

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// Known describes the record of a credential that was rejected. It is for the audit log alone. No
// endpoint decides by it, so a revoked credential gets the same response as one that never existed.
type Known struct {
	ID      ID
	Kind    token.Kind
	Subject string
	Client  string
	User    string // empty: the credential speaks for its client alone
	// Revoked reports whether the record was deleted before its end. It was revoked or retired, or
	// its owner was deleted.
	Revoked bool
}

// Known returns what this replica knows of the record of a credential, or knew before the record
// was deleted. It reads from memory alone. It may lock and allocate, because it is for rejected
// credentials only.
func (v *Verifier) Known(presented string) (Known, bool) {
	_, d, err := token.DigestOf(presented)
	if err != nil {
		return Known{}, false
	}
	if it := v.index.entries.Find(d); it != nil {
		return knownOf(it), true
	}
	if k, ok := v.index.removed.find(d); ok {
		return k, true
	}
	if f := v.cachedLookups.get(d, v.now()); f != nil && f.record != nil {
		return knownOf(v.index.unindexedItem(*f.record)), true
	}
	return Known{}, false
}

func knownOf(it *item) Known {
	e := &it.Value
	k := Known{ID: recordIDOf(it.Digest), Kind: e.kind, Subject: e.ownerRef.Subject, Client: e.grants.client.name}
	if e.grants.user != nil {
		k.User = e.grants.user.name
	}
	return k
}

// KnownSession returns what this replica knew of the records of a session that has ended. family is
// the digest that its refresh tokens share.
func (v *Verifier) KnownSession(family token.Digest) (Known, bool) {
	return v.index.sessions.find(family)
}

// RememberDeleted remembers a record that was deleted, if it has a refresh token: that is another
// credential, and a client may still use it.
func (x *Index) RememberDeleted(r record.Record) {
	if r.Refresh != nil {
		k := Known{ID: recordIDOf(r.Digest), Kind: token.Refresh, Subject: ownerSubject(r.Owner), Client: r.Client, User: r.User}
		x.sessions.add(k, r.Refresh.Family, r.Refresh.ExpiresAt.Unix())
	}
}

// Limits of what a replica remembers.
const (
	maxRemoved  = 1 << 16 // deleted records
	maxSessions = 1 << 14 // sessions that have ended
)

// removedRecords remembers deleted records. The audit log can then distinguish the use of a revoked
// credential from that of one that never existed. It is bounded and shared fairly: once it is full,
// the client with the most records loses its oldest. A client that creates and deletes tokens, or
// logs in and out, therefore cannot displace the records of another.
type removedRecords struct {
	mu     sync.Mutex
	now    func() time.Time // nil: it remembers nothing
	max    int
	all    map[token.Digest]*removal
	groups map[removalGroup]*removals
}

// removalGroup is the unit that the limit is shared between: the logins of a client, or its tokens.
// Logins end so often that they would displace the tokens.
type removalGroup struct {
	client string
	logins bool
}

type removal struct {
	Known
	digest     token.Digest
	isRestored bool // the record exists again
}

// removals are the removals of a group, oldest first.
type removals struct {
	queue []*removal
	live  int // those that are not restored
}

// push adds a removal. It drops the restored removals before they outnumber the others.
func (q *removals) push(r *removal) {
	if len(q.queue) > 2*q.live+16 {
		q.queue = slices.DeleteFunc(q.queue, func(r *removal) bool { return r.isRestored })
	}
	q.queue = append(q.queue, r)
	q.live++
}

// remember starts remembering removals.
func (m *removedRecords) remember(now func() time.Time, most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now, m.max = now, most
}

// find returns what is remembered of a digest.
func (m *removedRecords) find(d token.Digest) (Known, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.all[d]; r != nil {
		return r.Known, true
	}
	return Known{}, false
}

// add remembers a record that was deleted just now, by a digest. end is when the record would have
// ended, in Unix seconds.
func (m *removedRecords) add(k Known, d token.Digest, end int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now == nil || m.all[d] != nil {
		return
	}
	r := &removal{Known: k, digest: d}
	r.Revoked = m.now().Unix() < end
	r.Subject = strings.Clone(r.Subject) // it is a part of a longer string
	if m.all == nil {
		m.all, m.groups = map[token.Digest]*removal{}, map[removalGroup]*removals{}
	}
	s := removalGroupOf(r)
	if m.groups[s] == nil {
		m.groups[s] = &removals{}
	}
	m.all[r.digest] = r
	m.groups[s].push(r)
	if len(m.all) > m.max {
		m.forgetOldest()
	}
}

// drop forgets a record that exists again.
func (m *removedRecords) drop(d token.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.all[d]
	if r == nil {
		return
	}
	r.isRestored = true
	delete(m.all, d)
	m.leave(removalGroupOf(r))
}

// forgetOldest forgets the oldest record of the largest group.
func (m *removedRecords) forgetOldest() {
	var largest removalGroup
	most := 0
	for s, q := range m.groups {
		if q.live > most {
			largest, most = s, q.live
		}
	}
	q := m.groups[largest]
	for len(q.queue) > 0 {
		r := q.queue[0]
		q.queue[0] = nil
		q.queue = q.queue[1:]
		if !r.isRestored {
			delete(m.all, r.digest)
			m.leave(largest)
			return
		}
	}
}

// leave counts one removal less in a group.
func (m *removedRecords) leave(s removalGroup) {
	q := m.groups[s]
	if q.live--; q.live == 0 {
		delete(m.groups, s) // with all restored removals
	}
}

func removalGroupOf(r *removal) removalGroup {
	return removalGroup{r.Client, r.Kind != token.Application && r.Kind != token.UserApplication}
}
