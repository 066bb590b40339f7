package plan

import (
	"fmt"
	"time"
)

// RetryWindow is the time after its first attempt in which a request counts as a retry.
const RetryWindow = 5 * time.Minute

// Request is a request for a version of a token through the HTTP API.
type Request struct {
	// ID is a digest of the caller and of the request. It is recorded on the version that was made
	// for it. A request with an empty ID is no retry and has none.
	ID string
	// Holder is the record of the credential that asks for its own rotation. It is empty where an
	// administrator asks.
	Holder string
	// RetryOnly accepts nothing but a retry: the first attempt makes the token itself.
	RetryOnly bool
}

// why returns the reason of a version that is issued for r.
func (r Request) why() Why {
	if r.Holder != "" {
		return SelfRequested
	}
	return Requested
}

// Reasons returned by ForRequest, besides those of ForToken.
const (
	Requested             Why = "Requested"
	RequestRetried        Why = "RequestRetried"
	RequestDone           Why = "RequestDone"      // too late for a retry: used, rotated, or RetryWindow is over
	RequestUnknown        Why = "RequestUnknown"   // the version was made for another request
	HolderSuperseded      Why = "HolderSuperseded" // the holder's version has a successor
	SelfRotationForbidden Why = "SelfRotationForbidden"
	SelfRotationTooSoon   Why = "SelfRotationTooSoon"
)

// requestRule returns a plan and true where it applies to a request.
type requestRule func(now time.Time, want Desired, have Observed, r Request) (Plan, bool)

// requestRules are evaluated in order. First comes the policy of the client. Then follows whether
// the request is a retry, which must not depend on anything that happened later. The rest finds
// what prevents a successor.
var requestRules = []requestRule{
	selfRotationForbidden,
	requestRetried, // the same caller repeats a request: no other caller replaces a version
	requestUnknown,
	holderSuperseded, // only the holder of the current version may rotate it
	currentExpired,
	selfRotationTooSoon,
	rotationPending, // no rotation ends a predecessor
}

// ForRequest decides on a request for a version at the instant now. It returns Issue for a
// successor, RetireOne to make room for it, or Replace for the version that an earlier attempt
// made. Otherwise it returns Nothing, and Wake is the instant to ask again.
func ForRequest(now time.Time, want Desired, have Observed, r Request) Plan {
	have = have.withPredecessorMarked(now, want.Retire)
	for _, rule := range requestRules {
		if p, ok := rule(now, want, have, r); ok {
			return p
		}
	}
	var last Version
	if have.Current != nil {
		last = *have.Current
	}
	return issue(now, Plan{Why: r.why(), Version: last}, want, have)
}

// withPredecessorMarked returns o with the predecessor of the current version superseded, where a
// crash left it unmarked.
func (o Observed) withPredecessorMarked(now time.Time, r Retire) Observed {
	others := make([]Version, len(o.Others))
	for i, v := range o.Others {
		if o.Current != nil && v.Record == o.Current.Predecessor && !v.isSuperseded() {
			p := Supersession(v, Earliest(o.Current.IssuedAt, now), r)
			v.SupersededAt, v.ExpiresAt = p.SupersededAt, p.ExpiresAt
		}
		others[i] = v
	}
	o.Others = others
	return o
}

func selfRotationForbidden(_ time.Time, want Desired, _ Observed, r Request) (Plan, bool) {
	return Plan{Why: SelfRotationForbidden}, r.Holder != "" && want.SelfRotationForbidden
}

// requestRetried replaces the version that was made for the same request, within RetryWindow and
// while it is unused. The lifetime and the time for retries of the new version count from the first
// attempt, so that repeated retries lengthen neither.
func requestRetried(now time.Time, want Desired, have Observed, r Request) (Plan, bool) {
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
	if !c.LastUsedAt.IsZero() || !now.Before(c.IssuedAt.Add(RetryWindow)) || issuedAhead(now, *c) {
		return Plan{Why: RequestDone}, true
	}
	p := Plan{Do: Replace, Why: RequestRetried, Version: *c, ExpiresAt: lifeFrom(c.lifetimeStart(), want.Lifetime), UserUID: want.User.UID}
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

// currentExpired rejects a request for an expired version. It also rejects a holder whose successor
// would have expired at once.
func currentExpired(now time.Time, want Desired, have Observed, r Request) (Plan, bool) {
	c := have.Current
	if c == nil {
		return Plan{}, false
	}
	over := r.Holder != "" && (Version{ExpiresAt: lifeFrom(c.lifetimeStart(), want.Lifetime)}).ExpiredAt(now)
	return Plan{Why: IsExpired}, over || c.ExpiredAt(now)
}

func selfRotationTooSoon(now time.Time, want Desired, have Observed, r Request) (Plan, bool) {
	d := selfRotationDeferral(now, want, have)
	if r.Holder == "" || !now.Before(d.until) {
		return Plan{}, false
	}
	return Plan{Why: SelfRotationTooSoon, DeferredBy: d.reason, Wake: d.until, Message: d.text}, true
}

func rotationPending(now time.Time, want Desired, have Observed, r Request) (Plan, bool) {
	if have.Current == nil {
		return Plan{}, false
	}
	d := rotationDeferral(now, r.why(), want, have)
	if !now.Before(d.until) {
		return Plan{}, false
	}
	return Plan{
		Why: RotationPending, DeferredBy: d.reason, Wake: d.until,
		Message: fmt.Sprintf("no rotation until %s at the latest: %s", d.until.UTC().Format(time.RFC3339), d.text),
	}, true
}
