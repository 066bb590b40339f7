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
	"github.com/apptoken/operator/internal/verify/lookuplimit"
)

// finder is the part of the record store that the Verifier needs.
type finder interface {
	// Find returns the record of a digest from the API server, or record.ErrGone.
	Find(ctx context.Context, d token.Digest) (record.Record, error)
}

const (
	// maxLookupTime is how long a look-up may take.
	maxLookupTime = 2 * time.Second
	// absentCacheTime is how long a digest is taken to be unknown after the API server did not find
	// it. A token is delivered only after its record was stored, so this delays no valid token.
	absentCacheTime = 5 * time.Second
	// presentCacheTime is how long a record that the API server returned is taken to exist, until
	// the watch reports it. It is short, because a deletion that the watch reports in this time may
	// have no effect on it.
	presentCacheTime = 200 * time.Millisecond
)

// Verifier verifies credentials for endpoints, with the index and, for credentials that the index
// does not know, with the API server. It is safe for concurrent use.
type Verifier struct {
	index         *Index
	store         finder
	readLimiter   *rate.Limiter
	sourceLimiter *lookuplimit.Limits // of reads, by source
	now           func() time.Time
	onLookup      func(Lookup)
	maxAge        time.Duration // 0: there is no limit

	startedAt     time.Time    // freshUntil counts from here, because the time of day may be set
	freshUntil    atomic.Int64 // nanoseconds since startedAt: the last instant at which a credential can be Valid
	flights       singleflight.Group
	cachedLookups lookupCache
	// noReadsUntil is the instant, in Unix nanoseconds, until which no read is left. A flood of
	// requests costs no more than a comparison with it.
	noReadsUntil atomic.Int64
}

// Lookup is the result of a look-up in the API server.
type Lookup string

// The results of look-ups.
const (
	LookupFound   Lookup = "Found"
	LookupAbsent  Lookup = "Absent"
	LookupFailed  Lookup = "Failed"
	LookupLimited Lookup = "Limited" // no read was left
)

// Options configures a Verifier. All fields are required.
type Options struct {
	LookupsPerSecond int              // how many look-ups a second, at most
	MaxStaleness     time.Duration    // maximum age of the last contact with the API server; 0: no maximum
	Now              func() time.Time // the clock
	OnLookup         func(Lookup)     // called with the result of each look-up
}

// NewVerifier returns a Verifier that asks the index, and the API server for credentials that the
// index does not know.
func NewVerifier(x *Index, store finder, o Options) *Verifier {
	v := &Verifier{index: x, store: store, now: o.Now, onLookup: o.OnLookup, maxAge: o.MaxStaleness, startedAt: o.Now()}
	v.MarkStale()
	v.readLimiter = rate.NewLimiter(rate.Limit(o.LookupsPerSecond), o.LookupsPerSecond)
	v.sourceLimiter = lookuplimit.New(o.LookupsPerSecond)
	x.removed.remember(o.Now, maxRemoved)
	x.sessions.remember(o.Now, maxSessions)
	return v
}

// MarkFresh records that the API server answers now, and that the index is complete and up to date.
// Until the first call no credential is Valid.
func (v *Verifier) MarkFresh() {
	until := int64(math.MaxInt64)
	if v.maxAge != 0 {
		until = int64(v.now().Sub(v.startedAt) + v.maxAge)
	}
	v.freshUntil.Store(until)
}

// MarkStale makes every verdict Stale until the next call of MarkFresh. Callers use it when changes
// may happen that the index does not receive.
func (v *Verifier) MarkStale() { v.freshUntil.Store(math.MinInt64) }

// IsFresh reports whether any credential can be Valid now. Otherwise all are Stale.
func (v *Verifier) IsFresh() bool { return v.isFreshAt(v.now()) }

func (v *Verifier) isFreshAt(now time.Time) bool {
	return int64(now.Sub(v.startedAt)) <= v.freshUntil.Load()
}

// Verify decides about a presented text. It notes the use of a Valid credential that the index
// holds.
func (v *Verifier) Verify(ctx context.Context, presented string, f Facts) (Identity, Verdict) {
	kind, digest, err := token.DigestOf(presented)
	if err != nil {
		return Identity{}, Malformed
	}
	now := v.now()
	if !v.isFreshAt(now) {
		return Identity{}, Stale
	}
	it := v.index.entries.Find(digest)
	if it == nil {
		return v.lookUp(ctx, now, kind, digest, f)
	}
	authority := v.index.authorityOf(it)
	id, verdict := verifyBy(it, authority, now, kind, f)
	if verdict == Valid { // the use of an access token is one of its parent, which must not be retired for lack of use
		v.index.noteUse(authority.Value.useItem, now.Unix(), f.Source)
	}
	return id, verdict
}

// IsKnown reports whether Verify decides about a presented text without a read from the API server.
func (v *Verifier) IsKnown(presented string) bool {
	_, digest, err := token.DigestOf(presented)
	return err != nil || v.index.entries.Find(digest) != nil || v.cachedLookups.get(digest, v.now()) != nil
}

// WasAccepted reports whether this replica accepted a credential since it started.
func (v *Verifier) WasAccepted(d token.Digest) bool {
	it := v.index.entries.Find(d)
	return it != nil && it.Value.useItem.Value.lastUseState.at.Load() != 0
}

// End rejects a credential whose record was deleted just now, before the watch reports the
// deletion.
func (v *Verifier) End(d token.Digest) {
	v.cachedLookups.slot(d).Store(&lookupResult{d, nil, v.now().Add(absentCacheTime)})
	v.index.End(d)
}

// lookUp verifies a credential that the index does not hold, by its record in the API server. It
// also looks up the parent of an access token, if the index does not hold that either.
func (v *Verifier) lookUp(ctx context.Context, now time.Time, kind token.Kind, d token.Digest, f Facts) (Identity, Verdict) {
	r, verdict := v.lookUpRecord(ctx, now, d, f)
	if r == nil {
		return Identity{}, verdict
	}
	it := v.index.unindexedItem(*r)
	authority := v.index.authorityOf(it)
	if authority == nil {
		parent, verdict := v.lookUpRecord(ctx, now, r.Parent, f)
		if parent == nil {
			return Identity{}, verdict
		}
		authority = v.index.unindexedItem(*parent)
	}
	return verifyBy(it, authority, now, kind, f)
}

// lookUpRecord asks the API server, once for all concurrent requests about a digest. It does not
// put the result into the index. The record may be deleted right after the read, and the watch may
// have reported that deletion before lookUpRecord returns. Without a record it returns the verdict.
func (v *Verifier) lookUpRecord(ctx context.Context, now time.Time, d token.Digest, f Facts) (*record.Record, Verdict) {
	if known := v.cachedLookups.get(d, now); known != nil {
		return known.record, Unknown
	}
	source := SourceNetwork(f.caller())
	if now.UnixNano() < v.noReadsUntil.Load() || !v.sourceLimiter.HasLeft(now, source) || !v.sourceLimiter.StartWaiting(source) {
		v.onLookup(LookupLimited)
		return nil, Undecided
	}
	defer v.sourceLimiter.StopWaiting(source)
	flight := v.flights.DoChan(string(d[:]), func() (any, error) { return v.find(context.WithoutCancel(ctx), now, source, d) })
	select {
	case <-ctx.Done():
		return nil, Undecided
	case result := <-flight:
		r, ok := result.Val.(*record.Record)
		if result.Err != nil || !ok {
			return nil, Undecided
		}
		return r, Unknown
	}
}

// errReadsLimited reports that the API server was not asked, because the limit of reads was
// reached.
var errReadsLimited = errors.New("no read of the store is left")

// find reads a record from the API server, and caches the result for a while. It returns nil if
// there is no record.
func (v *Verifier) find(ctx context.Context, now time.Time, source netip.Prefix, d token.Digest) (r *record.Record, err error) {
	defer func() {
		if p := recover(); p != nil { // no caller could recover, so it would end the process
			r, err = nil, fmt.Errorf("the look-up failed: %v", p)
		}
	}()
	if !v.sourceLimiter.Take(now, source) { // before it takes one of the total
		v.onLookup(LookupLimited)
		return nil, errReadsLimited
	}
	if known := v.cachedLookups.get(d, now); known != nil { // another look-up ended since this one was requested
		return known.record, nil
	}
	if !v.readLimiter.AllowN(now, 1) {
		v.noReadsUntil.Store(now.Add(time.Second / time.Duration(max(v.readLimiter.Burst(), 1))).UnixNano())
		v.onLookup(LookupLimited)
		return nil, errReadsLimited
	}
	ctx, cancel := context.WithTimeout(ctx, maxLookupTime) // other requests wait for it too
	defer cancel()
	slot := v.cachedLookups.slot(d)
	before := slot.Load()
	rec, err := v.store.Find(ctx, d)
	switch {
	case err == nil:
		v.onLookup(LookupFound)
		// Do not replace an End that came meanwhile.
		slot.CompareAndSwap(before, &lookupResult{d, &rec, now.Add(presentCacheTime)})
		return &rec, nil
	case errors.Is(err, record.ErrGone):
		v.onLookup(LookupAbsent)
		slot.CompareAndSwap(before, &lookupResult{d, nil, now.Add(absentCacheTime)})
		return nil, nil //nolint:nilnil // there is none, and that is a result
	default:
		v.onLookup(LookupFailed)
		return nil, err
	}
}

// lookupCache caches the results of look-ups. It has a fixed number of slots: a new result replaces
// an old one, and it never grows.
type lookupCache struct {
	slots [1 << 12]atomic.Pointer[lookupResult]
}

// lookupResult is the API server's result for a digest.
type lookupResult struct {
	digest token.Digest
	record *record.Record // nil: there is none
	until  time.Time
}

func (c *lookupCache) slot(d token.Digest) *atomic.Pointer[lookupResult] {
	return &c.slots[int(binary.BigEndian.Uint16(d[:]))%len(c.slots)]
}

func (c *lookupCache) get(d token.Digest, now time.Time) *lookupResult {
	if f := c.slot(d).Load(); f != nil && f.digest == d && now.Before(f.until) {
		return f
	}
	return nil
}
