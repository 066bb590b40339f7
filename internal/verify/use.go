package verify

import (
	"encoding/binary"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/apptoken/operator/internal/record"
)

// lastUseState is when and from where a credential was last accepted. It outlives changes of its
// record.
type lastUseState struct {
	seq      atomic.Uint32 // odd during a write of at, high and low
	at       atomic.Uint32 // Unix seconds, until 2106; 0: never, as far as this replica knows
	high     atomic.Uint64 // of the address, as IPv6
	low      atomic.Uint64
	isQueued atomic.Bool

	supersededAt atomic.Uint32 // Unix seconds; 0: it is the current one
	storedAt     atomic.Uint32 // in the API server
	issuedAt     uint32        // of the credential; kept here because there is room
	nextInStack  *item         // in the stack that it is queued in
}

// noteUse remembers a use. One use a second is enough. If two calls note the same second, one takes
// effect and neither waits.
func (x *Index) noteUse(home *item, instant int64, from netip.Addr) {
	u, now := &home.Value.lastUseState, clampSeconds(instant)
	if now <= u.at.Load() {
		return
	}
	seq := u.seq.Load()
	if seq%2 == 1 || !u.seq.CompareAndSwap(seq, seq+1) {
		return
	}
	if now <= u.at.Load() { // another call was faster
		u.seq.Store(seq + 2)
		return
	}
	var address [16]byte
	if from.IsValid() {
		address = from.As16()
	}
	u.high.Store(binary.BigEndian.Uint64(address[:8]))
	u.low.Store(binary.BigEndian.Uint64(address[8:]))
	u.at.Store(now)
	u.seq.Store(seq + 2)
	x.queueUse(home)
}

func (x *Index) queueUse(home *item) {
	if home.Value.isQueued.CompareAndSwap(false, true) {
		x.usedItems.push(home)
	}
}

// Use is the last use of a credential, as this replica knows it.
type Use struct {
	ID           ID
	At           time.Time
	From         netip.Addr // zero: unknown
	StoredAt     time.Time  // the last use in the API server; zero: none
	SupersededAt time.Time  // from then on it is retired as soon as it is out of use; zero: it is the current one
	IssuedAt     time.Time
	// Idle is how long the credential may be unused, by what the API server holds, before it is
	// rejected; 0: for ever.
	Idle time.Duration

	home *item
}

// lastUse returns a consistent Use: not the time of one use and the address of another. Its other
// fields describe the current record, whose use is kept in the item of the first one. It returns
// false if the record is gone.
func (x *Index) lastUse(home *item) (Use, bool) {
	now := x.entries.Find(home.Digest)
	if now == nil {
		return Use{}, false
	}
	u, e := &home.Value.lastUseState, &now.Value
	for {
		seq := u.seq.Load()
		var address [16]byte
		binary.BigEndian.PutUint64(address[:8], u.high.Load())
		binary.BigEndian.PutUint64(address[8:], u.low.Load())
		at := u.at.Load()
		if seq%2 == 1 || u.seq.Load() != seq {
			continue
		}
		v := Use{
			ID: recordIDOf(home.Digest), At: timeOfSeconds(at), StoredAt: timeOfSeconds(u.storedAt.Load()), SupersededAt: timeOfSeconds(u.supersededAt.Load()),
			IssuedAt: timeOfSeconds(e.issuedAt), home: home,
		}
		if e.login != nil {
			v.Idle = time.Duration(e.login.idleSeconds) * time.Second
		}
		if address != [16]byte{} {
			v.From = netip.AddrFrom16(address).Unmap()
		}
		return v, true
	}
}

func timeOfSeconds(seconds uint32) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// clampSeconds returns an instant as it is stored: instants before 1970 or after 2106 become the
// first or the last one possible.
func clampSeconds(instant int64) uint32 { return uint32(min(max(instant, 1), math.MaxUint32)) }

// TakeUses returns up to most credentials that were used since it last returned them. The others
// are returned by the next calls. If a use was not written, the caller hands it to RequeueUse;
// otherwise TakeUses returns it only after the next use. TakeUses must not be called concurrently.
func (x *Index) TakeUses(most int) []Use {
	var list []Use
	for len(list) < most {
		home := x.nextUsed
		if home == nil {
			if home = x.usedItems.take(); home == nil {
				break
			}
		}
		u := &home.Value.lastUseState
		x.nextUsed, u.nextInStack = u.nextInStack, nil
		u.isQueued.Store(false) // before it is read: a use from now on queues it again
		if last, there := x.lastUse(home); there {
			list = append(list, last)
		}
	}
	return list
}

// MarkStored records that the API server holds the use.
func (u Use) MarkStored() { u.home.Value.storedAt.Store(clampSeconds(u.At.Unix())) }

// RequeueUse makes TakeUses return a use once more.
func (x *Index) RequeueUse(u Use) { x.queueUse(u.home) }

// noteStored takes over the last use from the API server.
func (x *Index) noteStored(home *item, r record.Record) {
	u := &home.Value.lastUseState
	if !r.LastUsedAt.IsZero() {
		u.storedAt.Store(clampSeconds(r.LastUsedAt.Unix()))
	}
	if !r.SupersededAt.IsZero() && u.supersededAt.Swap(clampSeconds(r.SupersededAt.Unix())) == 0 && u.at.Load() > u.storedAt.Load() {
		x.queueUse(home) // the use matters now
	}
}

// useStack holds pushed items until all of them are taken at once. It is lock-free.
type useStack struct{ top atomic.Pointer[item] }

func (s *useStack) push(it *item) {
	for {
		top := s.top.Load()
		it.Value.nextInStack = top
		if s.top.CompareAndSwap(top, it) {
			return
		}
	}
}

func (s *useStack) take() *item { return s.top.Swap(nil) }
