package verify

import (
	"encoding/binary"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/apptoken/operator/internal/record"
)

// use is when and from where a credential was last accepted. It outlives changes of its record.
type use struct {
	seq    atomic.Uint32 // odd while somebody writes at, high and low
	at     atomic.Uint32 // Unix seconds, until 2106; 0: never, as far as this replica knows
	high   atomic.Uint64 // of the address, as IPv6
	low    atomic.Uint64
	queued atomic.Bool

	supersededAt atomic.Uint32 // Unix seconds; 0: it is the current one
	storedAt     atomic.Uint32 // what the store says
	issuedAt     uint32        // of the credential, which has room here
	behind       *item         // in the stack that it is queued in
}

// note remembers a use. Once a second is enough, and where two note the same second, one of them is: nobody waits.
func (x *Index) note(home *item, instant int64, from netip.Addr) {
	u, now := &home.Value.use, seconds(instant)
	if now <= u.at.Load() {
		return
	}
	seq := u.seq.Load()
	if seq%2 == 1 || !u.seq.CompareAndSwap(seq, seq+1) {
		return
	}
	if now <= u.at.Load() { // somebody was here since
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
	x.queue(home)
}

func (x *Index) queue(home *item) {
	if home.Value.queued.CompareAndSwap(false, true) {
		x.used.push(home)
	}
}

// Use is the last use of a credential, as this replica knows it.
type Use struct {
	ID           ID
	At           time.Time
	From         netip.Addr // zero: unknown
	StoredAt     time.Time  // the last use that the store knows of; zero: none
	SupersededAt time.Time  // from then on it is retired as soon as it is out of use; zero: it is the current one
	IssuedAt     time.Time
	Idle         time.Duration // without use for so long it is refused, on the word of the store; 0: never

	home *item
}

// lastUse is a Use that is whole: not the time of one and the address of another. What else it says is of the record as it
// is now, whose use is kept where that of the first was. False: there is none any more.
func (x *Index) lastUse(home *item) (Use, bool) {
	now := x.entries.Find(home.Digest)
	if now == nil {
		return Use{}, false
	}
	u, e := &home.Value.use, &now.Value
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
			ID: id(home.Digest), At: unix(at), StoredAt: unix(u.storedAt.Load()), SupersededAt: unix(u.supersededAt.Load()),
			IssuedAt: unix(e.issuedAt), home: home,
		}
		if e.login != nil {
			v.Idle = time.Duration(e.login.idle) * time.Second
		}
		if address != [16]byte{} {
			v.From = netip.AddrFrom16(address).Unmap()
		}
		return v, true
	}
}

func unix(seconds uint32) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// seconds is an instant as it is kept: what is before 1970, or after 2106, is taken for the first or the last that can be.
func seconds(instant int64) uint32 { return uint32(min(max(instant, 1), math.MaxUint32)) }

// Used returns credentials that were used since it last told of them, so many at most; the others have their turn at the
// next call. One whose use was not written is handed to Again, or it is told of only when it is used again. It is for one
// caller at a time.
func (x *Index) Used(most int) []Use {
	var list []Use
	for len(list) < most {
		home := x.telling
		if home == nil {
			if home = x.used.take(); home == nil {
				break
			}
		}
		u := &home.Value.use
		x.telling, u.behind = u.behind, nil
		u.queued.Store(false) // before it is read: a use from now on queues it again
		if last, there := x.lastUse(home); there {
			list = append(list, last)
		}
	}
	return list
}

// Stored says that the store knows of the use.
func (u Use) Stored() { u.home.Value.storedAt.Store(seconds(u.At.Unix())) }

// Again lets Used tell of a use once more.
func (x *Index) Again(u Use) { x.queue(u.home) }

// stored takes in what the store says of the last use.
func (x *Index) stored(home *item, r record.Record) {
	u := &home.Value.use
	if !r.LastUsedAt.IsZero() {
		u.storedAt.Store(seconds(r.LastUsedAt.Unix()))
	}
	if !r.SupersededAt.IsZero() && u.supersededAt.Swap(seconds(r.SupersededAt.Unix())) == 0 && u.at.Load() > u.storedAt.Load() {
		x.queue(home) // now it matters
	}
}

// stack holds what was pushed until it is taken, all at once. Nobody waits for anybody.
type stack struct{ top atomic.Pointer[item] }

func (s *stack) push(it *item) {
	for {
		top := s.top.Load()
		it.Value.behind = top
		if s.top.CompareAndSwap(top, it) {
			return
		}
	}
}

func (s *stack) take() *item { return s.top.Swap(nil) }
