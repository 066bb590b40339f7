package plan

import (
	"fmt"
	"time"
)

// RetryTime bounds how long after its first attempt a request is taken for a retry.
const RetryTime = 5 * time.Minute

// Request asks for a version of a token through the HTTP API.
type Request struct {
	// ID is a digest of who asks and for what, recorded on the version that was made for it. Empty: no request is a retry of
	// this one.
	ID string
	// Holder is the record of the credential that asks for its own rotation. Empty: an administrator asks.
	Holder string
	// RetryOnly accepts nothing but a retry: the first attempt makes the token itself.
	RetryOnly bool
}

// why returns the reason of the version that r asks for.
func (r Request) why() Why {
	if r.Holder != "" {
		return SelfRequested
	}
	return Requested
}

// Reasons of ForRequest, beside those of ForToken.
const (
	Requested           Why = "Requested"
	RequestRetried      Why = "RequestRetried"
	RequestDone         Why = "RequestDone"      // it is no retry any more
	RequestUnknown      Why = "RequestUnknown"   // the version was made for another request
	HolderSuperseded    Why = "HolderSuperseded" // another version took over from that of the holder
	SelfForbidden       Why = "SelfRotationForbidden"
	SelfRotationTooSoon Why = "SelfRotationTooSoon"
)

type requestRule func(now time.Time, want Desired, have Observed, r Request) (Plan, bool)

// requestRules in their order: first what the policy says; then whether the request was seen before, which must not depend
// on what came later; then what stands in the way of a successor.
var requestRules = []requestRule{
	selfForbidden,
	retried, // the same caller made the same request: nobody else replaces a version
	requestUnknown,
	holderSuperseded, // never a rotation by anyone else than the holder of the current version
	currentExpired,
	selfTooSoon,
	rotationPending, // no predecessor ends for a rotation
}

// ForRequest decides what becomes of a request for a version at the instant now: Issue a successor, RetireOne to make room
// for it, Replace the one that was made for the request before, or Nothing, and then Wake is when to ask again.
func ForRequest(now time.Time, want Desired, have Observed, r Request) Plan {
	have = have.marked(now, want.Retire)
	for _, rule := range requestRules {
		if p, ok := rule(now, want, have, r); ok {
			return p
		}
	}
	var last Version
	if have.Current != nil {
		last = *have.Current
	}
	return issue(now, r.why(), last, want, have)
}

// marked is o where the current version took over from a version that a crash left unmarked.
func (o Observed) marked(now time.Time, r Retire) Observed {
	others := make([]Version, len(o.Others))
	for i, v := range o.Others {
		if o.Current != nil && v.Record == o.Current.Predecessor && !v.superseded() {
			p := supersede(v, earliest(o.Current.IssuedAt, now), r)
			v.SupersededAt, v.ExpiresAt = p.SupersededAt, p.ExpiresAt
		}
		others[i] = v
	}
	o.Others = others
	return o
}

func selfForbidden(_ time.Time, want Desired, _ Observed, r Request) (Plan, bool) {
	return Plan{Why: SelfForbidden}, r.Holder != "" && want.SelfForbidden
}

// retried replaces the version that was made for the same request, for a bounded time and while nobody uses it. The new
// version counts from the first attempt in everything, so that no number of retries lengthens a life or the time to retry.
func retried(now time.Time, want Desired, have Observed, r Request) (Plan, bool) {
	if r.ID == "" {
		return Plan{}, false
	}
	for _, v := range have.predecessors() {
		if v.Request == r.ID {
			return Plan{Why: RequestDone}, true
		}
	}
	c := have.Current
	if c == nil || c.Request != r.ID {
		return Plan{}, false
	}
	if !c.LastUsedAt.IsZero() || !now.Before(c.IssuedAt.Add(RetryTime)) || issuedAhead(now, *c) {
		return Plan{Why: RequestDone}, true
	}
	p := Plan{Do: Replace, Why: RequestRetried, Version: *c, ExpiresAt: lifeFrom(c.authorized(), want.Lifetime)}
	if c.ExpiredAt(now) || (Version{ExpiresAt: p.ExpiresAt}).ExpiredAt(now) {
		return Plan{Why: IsExpired}, true
	}
	return p, true
}

func requestUnknown(_ time.Time, _ Desired, _ Observed, r Request) (Plan, bool) {
	return Plan{Why: RequestUnknown}, r.RetryOnly
}

func holderSuperseded(_ time.Time, _ Desired, have Observed, r Request) (Plan, bool) {
	return Plan{Why: HolderSuperseded}, r.Holder != "" && (have.Current == nil || have.Current.Record != r.Holder)
}

// currentExpired refuses what has no valid version, and a holder whose lifetime would be over at once.
func currentExpired(now time.Time, want Desired, have Observed, r Request) (Plan, bool) {
	c := have.Current
	if c == nil {
		return Plan{}, false
	}
	over := r.Holder != "" && (Version{ExpiresAt: lifeFrom(c.authorized(), want.Lifetime)}).ExpiredAt(now)
	return Plan{Why: IsExpired}, over || c.ExpiredAt(now)
}

func selfTooSoon(now time.Time, want Desired, have Observed, r Request) (Plan, bool) {
	h := selfHold(now, want, have)
	if r.Holder == "" || !now.Before(h.until) {
		return Plan{}, false
	}
	return Plan{Why: SelfRotationTooSoon, Held: h.reason, Wake: h.until, Message: h.text}, true
}

func rotationPending(now time.Time, want Desired, have Observed, r Request) (Plan, bool) {
	if have.Current == nil {
		return Plan{}, false
	}
	h := rotationHold(now, r.why(), want, have)
	if !now.Before(h.until) {
		return Plan{}, false
	}
	return Plan{
		Why: RotationPending, Held: h.reason, Wake: h.until,
		Message: fmt.Sprintf("no rotation until %s at the latest: %s", h.until.UTC().Format(time.RFC3339), h.text),
	}, true
}
