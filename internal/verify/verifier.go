package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// finder is what the Verifier needs of the store.
type finder interface {
	// Find reads the record of a digest from the store itself. record.ErrGone if there is none.
	Find(ctx context.Context, d token.Digest) (record.Record, error)
}

const (
	// mostPatience is how long a look-up may take.
	mostPatience = 2 * time.Second
	// absence is how long a digest that the store did not know is taken to be unknown. A token is shown to somebody only
	// after its record was stored, so this makes nothing good late.
	absence = 5 * time.Second
	// presence is how long a record that the store knew is taken to be there, until the watch tells of it. If it is deleted
	// in this time, the watch tells nobody: so it is short.
	presence = 200 * time.Millisecond
)

// Verifier verifies for doors: with the index, and for what that does not know yet with the store. Safe for use by many.
type Verifier struct {
	index   *Index
	store   finder
	reads   *rate.Limiter
	shares  *shares // of reads
	now     func() time.Time
	lookups func(Lookup)
	oldest  time.Duration // 0: there is no limit

	start   time.Time    // by which the instants of until are counted: the time of day may be set
	until   atomic.Int64 // the last instant at which anything can be Good, in nanoseconds since start
	flights singleflight.Group
	recent  recent
	spent   atomic.Int64 // until then, in Unix nanoseconds, there is no read left: a flood costs no more than looking here
}

// Lookup says how a look-up in the store ended.
type Lookup string

// The ends of look-ups.
const (
	LookupFound   Lookup = "Found"
	LookupAbsent  Lookup = "Absent"
	LookupFailed  Lookup = "Failed"
	LookupLimited Lookup = "Limited" // it did not happen
)

// Options of a Verifier. All are required.
type Options struct {
	Reads   int              // how many look-ups a second, at most
	Oldest  time.Duration    // since when the store must have been heard of; 0: it does not matter
	Now     func() time.Time // the clock
	Lookups func(Lookup)     // is told of each look-up
}

// NewVerifier returns one that asks the index, and the store for what the index does not know.
func NewVerifier(x *Index, store finder, o Options) *Verifier {
	v := &Verifier{index: x, store: store, now: o.Now, lookups: o.Lookups, oldest: o.Oldest, start: o.Now()}
	v.Close()
	v.reads = rate.NewLimiter(rate.Limit(o.Reads), o.Reads)
	v.shares = newShares(o.Reads)
	x.removed.remember(o.Now, maxRemoved)
	x.sessions.remember(o.Now, maxSessions)
	return v
}

// Heard says that the store answers at this moment, and that the index is complete and up to date. Until then nothing is Good.
func (v *Verifier) Heard() {
	until := int64(math.MaxInt64)
	if v.oldest != 0 {
		until = int64(v.now().Sub(v.start) + v.oldest)
	}
	v.until.Store(until)
}

// Close makes everything Stale until the store is Heard: changes happen that the index is not told of.
func (v *Verifier) Close() { v.until.Store(math.MinInt64) }

// Open says whether anything can be Good now, as opposed to Stale.
func (v *Verifier) Open() bool { return v.fresh(v.now()) }

func (v *Verifier) fresh(now time.Time) bool { return int64(now.Sub(v.start)) <= v.until.Load() }

// Verify decides about a presented text, and notes the use of what is Good.
func (v *Verifier) Verify(ctx context.Context, presented string, f Facts) (Identity, Verdict) {
	kind, digest, err := token.DigestOf(presented)
	if err != nil {
		return Identity{}, Malformed
	}
	now := v.now()
	if !v.fresh(now) {
		return Identity{}, Stale
	}
	it := v.index.entries.Find(digest)
	if it == nil {
		return v.lookUp(ctx, now, kind, digest, f)
	}
	who, verdict := judge(it, now, kind, f)
	if verdict == Good {
		v.index.note(it.Value.home, now.Unix(), f.Source)
	}
	return who, verdict
}

// Knows reports whether Verify decides about a presented text without asking the store.
func (v *Verifier) Knows(presented string) bool {
	_, digest, err := token.DigestOf(presented)
	return err != nil || v.index.entries.Find(digest) != nil || v.recent.of(digest, v.now()) != nil
}

// Seen says whether this replica accepted a credential since it started.
func (v *Verifier) Seen(d token.Digest) bool {
	it := v.index.entries.Find(d)
	return it != nil && it.Value.home.Value.use.at.Load() != 0
}

// End refuses a credential whose record was deleted just now, before the watch tells of it.
func (v *Verifier) End(d token.Digest) {
	v.recent.slot(d).Store(&found{d, nil, v.now().Add(absence)})
	v.index.End(d)
}

// lookUp asks the store, once for all who ask at about the same time. What it says does not get into the index: of a
// deletion that comes right after it, the watch may have told before.
func (v *Verifier) lookUp(ctx context.Context, now time.Time, kind token.Kind, d token.Digest, f Facts) (Identity, Verdict) {
	if known := v.recent.of(d, now); known != nil {
		return v.judge(now, kind, known.record, f)
	}
	if now.UnixNano() < v.spent.Load() || !v.shares.left(now, f.caller()) || !v.shares.wait(f.caller()) {
		v.lookups(LookupLimited)
		return Identity{}, Undecided
	}
	defer v.shares.leave(f.caller())
	flight := v.flights.DoChan(string(d[:]), func() (any, error) { return v.find(context.WithoutCancel(ctx), now, f.caller(), d) })
	select {
	case <-ctx.Done():
		return Identity{}, Undecided
	case result := <-flight:
		r, ok := result.Val.(*record.Record)
		if result.Err != nil || !ok {
			return Identity{}, Undecided
		}
		return v.judge(now, kind, r, f)
	}
}

// errLimited says that the store was not asked, since it was asked so often.
var errLimited = errors.New("no read of the store is left")

// find reads a record from the store, and remembers for a while what came of it; nil: there is none.
func (v *Verifier) find(ctx context.Context, now time.Time, caller netip.Addr, d token.Digest) (r *record.Record, err error) {
	defer func() {
		if p := recover(); p != nil { // it would end the process, since nobody above could recover
			r, err = nil, fmt.Errorf("the look-up failed: %v", p)
		}
	}()
	if !v.shares.take(now, caller) { // before it takes one of all
		v.lookups(LookupLimited)
		return nil, errLimited
	}
	if known := v.recent.of(d, now); known != nil { // another look-up ended since this one was asked for
		return known.record, nil
	}
	if !v.reads.AllowN(now, 1) {
		v.spent.Store(now.Add(time.Second / time.Duration(max(v.reads.Burst(), 1))).UnixNano())
		v.lookups(LookupLimited)
		return nil, errLimited
	}
	ctx, cancel := context.WithTimeout(ctx, mostPatience) // others wait for it too
	defer cancel()
	slot := v.recent.slot(d)
	before := slot.Load()
	rec, err := v.store.Find(ctx, d)
	switch {
	case err == nil:
		v.lookups(LookupFound)
		slot.CompareAndSwap(before, &found{d, &rec, now.Add(presence)}) // not over an End that came meanwhile
		return &rec, nil
	case errors.Is(err, record.ErrGone):
		v.lookups(LookupAbsent)
		slot.CompareAndSwap(before, &found{d, nil, now.Add(absence)})
		return nil, nil //nolint:nilnil // there is none, and that is an answer
	default:
		v.lookups(LookupFailed)
		return nil, err
	}
}

func (v *Verifier) judge(now time.Time, kind token.Kind, r *record.Record, f Facts) (Identity, Verdict) {
	if r == nil {
		return Identity{}, Unknown
	}
	return judge(v.index.outside(*r), now, kind, f)
}

// recent remembers what was looked up. It forgets one for another, so it never grows.
type recent struct {
	slots [1 << 12]atomic.Pointer[found]
}

// found is what the store said of a digest.
type found struct {
	digest token.Digest
	record *record.Record // nil: there is none
	until  time.Time
}

func (m *recent) slot(d token.Digest) *atomic.Pointer[found] {
	return &m.slots[int(binary.BigEndian.Uint16(d[:]))%len(m.slots)]
}

func (m *recent) of(d token.Digest, now time.Time) *found {
	if f := m.slot(d).Load(); f != nil && f.digest == d && now.Before(f.until) {
		return f
	}
	return nil
}
