package plan

import (
	"fmt"
	"slices"
	"time"
)

// Why is the reason of a plan: a word in CamelCase, for conditions, events and metrics.
type Why string

// Reasons returned by ForToken, besides those of a Refusal.
const (
	FirstIssue          Why = "Issued"
	SecretGone          Why = "SecretMissing"
	SecretChanged       Why = "SecretAltered"
	RecordMissing       Why = "RecordMissing"
	UserReplaced        Why = "UserReplaced"
	SecretTaken         Why = "SecretTaken"
	TriggerChanged      Why = "Triggered"
	RotationDue         Why = "RotationDue"
	ExpiryNear          Why = "ExpiryNear"
	IssuedAhead         Why = "IssuedAhead" // by a clock that was ahead
	Superseded          Why = "Superseded"
	OwnerRestored       Why = "OwnerRestored"
	GrantsChanged       Why = "GrantsChanged"
	ExpiryChanged       Why = "ExpiryChanged"
	TemplateChanged     Why = "TemplateChanged"
	PredecessorUnused   Why = "Unused"
	OverlapOver         Why = "OverlapOver"
	OverlapOverInUse    Why = "OverlapOverInUse"
	TooManyPredecessors Why = "TooManyPredecessors"
	IsSuspended         Why = "Suspended"
	IsRevoked           Why = "Revoked"
	IsExpired           Why = "Expired"
	DeliveryPending     Why = "DeliveryPending" // the response that delivers it is about to be sent
	DeliveryMissing     Why = "DeliveryMissing"
	UpToDate            Why = "UpToDate"
	SelfRequested       Why = "SelfRequested"
	RotationPending     Why = "RotationPending"
)

// rule returns a plan and true where it applies.
type rule func(now time.Time, want Desired, have Observed) (Plan, bool)

// tokenRules are evaluated in order. First come the rules that end or restrict a credential, which
// no refusal may delay. Then follow the rules that prevent a new credential, and last the rules
// that make one.
var tokenRules = []rule{
	revoked,         // end everything
	userReplaced,    // a new User of the same name inherits nothing
	supersededAhead, // superseded by a clock that was ahead: the overlap would be too long
	predecessorDue,
	currentIssuedAhead,  // the same for the current version, where it can have no successor
	predecessorUnmarked, // a crash came between the successor and the end of its predecessor
	grantsChanged,       // in place; the token stays the same
	refused,             // the spec cannot be served
	suspended,           // nothing new while suspended
	deliveryMissing,     // only the HTTP API issues it
	secretForeign,       // not managed by the operator, not changed
	secretMissing,       // never issued, deleted or altered
	recordMissing,       // the record was deleted to revoke it: replace the token, never recreate the record
	expired,             // stays expired until a trigger changes
	rotationDue,         // clone
	templateChanged,     // write the same token again
	rotationDeferred,    // due and deferred
}

// ForToken decides what an ApplicationToken needs at the instant now. The first rule that applies
// wins.
func ForToken(now time.Time, want Desired, have Observed) Plan {
	for _, r := range tokenRules {
		if p, ok := r(now, want, have); ok {
			return p
		}
	}
	return Plan{Why: UpToDate, Wake: nextDeadline(now, want, have)}
}

func revoked(_ time.Time, want Desired, have Observed) (Plan, bool) {
	if want.State != Revoked {
		return Plan{}, false
	}
	p := Plan{Why: IsRevoked, Message: "Revoked for good; delete this token and declare a new one"}
	ours := have.HasFormerSecret || have.Secret != SecretAbsent && have.Secret != SecretForeign
	if have.Current != nil || len(have.Others) > 0 || ours {
		p.Do = RetireAll
	}
	return p, true
}

// supersededAhead counts the overlap of a predecessor from now where a clock that was ahead marked
// it. A predecessor counts as superseded from the issue of its successor, which the API server
// dated.
func supersededAhead(now time.Time, want Desired, have Observed) (Plan, bool) {
	for _, v := range have.predecessors() {
		if isAhead(v.SupersededAt, now, have.successorCreated(v)) {
			return Supersession(v, now, want.Retire), true
		}
	}
	return Plan{}, false
}

// currentIssuedAhead corrects the issue of a version that was issued by a clock that was ahead, and
// its expiry with it. It applies where the operator cannot make a successor: the version was
// delivered in a response, or the spec is refused.
func currentIssuedAhead(now time.Time, want Desired, have Observed) (Plan, bool) {
	c := have.Current
	if c == nil || !want.DeliveredInResponse && want.Refused.Reason == "" || !issuedAhead(now, *c) {
		return Plan{}, false
	}
	end := c.ExpiresAt
	if ahead := c.lifetimeStart().Sub(now); !end.IsZero() && ahead > 0 {
		end = end.Add(-ahead)
	}
	return Plan{Do: Change, Why: IssuedAhead, Version: *c, IssuedAt: now, ExpiresAt: end, UserUID: c.userUID(want)}, true
}

// predecessorUnmarked supersedes a predecessor whose successor was delivered. Its overlap counts
// from the issue of the successor, so that a crash in between does not lengthen it.
func predecessorUnmarked(now time.Time, want Desired, have Observed) (Plan, bool) {
	if have.Current == nil {
		return Plan{}, false
	}
	for _, v := range have.Others {
		if v.Record == have.Current.Predecessor && !v.isSuperseded() {
			return Supersession(v, Earliest(have.Current.IssuedAt, now), want.Retire), true
		}
	}
	return Plan{}, false
}

// Supersession returns the plan that marks v as superseded at an instant. It never extends a life:
// v ends at its own expiry or after the maximum overlap, whichever comes first.
func Supersession(v Version, at time.Time, r Retire) Plan {
	return Plan{Do: Supersede, Why: Superseded, Version: v, SupersededAt: at, ExpiresAt: Earliest(v.ExpiresAt, at.Add(r.Max))}
}

// grantsChanged updates the records to match the spec. A refused spec only reduces: the grants are
// already cut down, and no expiry moves because of it.
func grantsChanged(now time.Time, want Desired, have Observed) (Plan, bool) {
	for _, v := range have.Others {
		if v.Restored { // while the current version still names the owner
			return changeRecord(v, want, v.ExpiresAt)
		}
	}
	if c := have.Current; c != nil {
		expiry := c.ExpiresAt
		if want.Refused.Reason == "" && !c.ExpiredAt(now) { // an expired version never becomes valid again
			expiry = lifeFrom(c.lifetimeStart(), want.Lifetime)
		}
		if p, ok := changeRecord(*c, want, expiry); ok {
			return p, true
		}
	}
	for _, v := range have.Others {
		expiry := v.ExpiresAt
		if v.isSuperseded() {
			expiry = latestRetirement(v, want.Retire)
		}
		if p, ok := changeRecord(v, want, expiry); ok {
			return p, true
		}
	}
	return Plan{}, false
}

func changeRecord(v Version, want Desired, expiry time.Time) (Plan, bool) {
	uid := v.userUID(want)
	switch {
	case v.Restored:
		return Plan{Do: Change, Why: OwnerRestored, Version: v, ExpiresAt: expiry, UserUID: uid}, true
	case want.Grants != nil && !sameGrants(v.Grants, *want.Grants), v.UserUID != uid:
		return Plan{Do: Change, Why: GrantsChanged, Version: v, ExpiresAt: expiry, UserUID: uid}, true
	case !v.ExpiresAt.Equal(expiry):
		return Plan{Do: Change, Why: ExpiryChanged, Version: v, ExpiresAt: expiry, UserUID: uid}, true
	default:
		return Plan{}, false
	}
}

func sameGrants(a, b Grants) bool {
	return a.Client == b.Client && a.User == b.User && a.Suspended == b.Suspended && slices.Equal(a.Roles, b.Roles) &&
		slices.Equal(a.Permissions, b.Permissions) && slices.Equal(a.SourceRanges, b.SourceRanges)
}

func refused(now time.Time, want Desired, have Observed) (Plan, bool) {
	if want.Refused.Reason == "" {
		return Plan{}, false
	}
	return Plan{Why: Why(want.Refused.Reason), Message: want.Refused.Message, Wake: nextEnd(now, want, have)}, true
}

func suspended(now time.Time, want Desired, have Observed) (Plan, bool) {
	if want.State != Suspended {
		return Plan{}, false
	}
	return Plan{
		Why: IsSuspended, Message: "Every version is rejected; set spec.state to Active to accept them again",
		Wake: nextEnd(now, want, have),
	}, true
}

// DeliveryTimeout is how long after its declaration a token may be without a version before that is
// reported. The HTTP request that declared it is about to make the version.
const DeliveryTimeout = 10 * time.Second

func deliveryMissing(now time.Time, want Desired, have Observed) (Plan, bool) {
	if !want.DeliveredInResponse || have.Current != nil {
		return Plan{}, false
	}
	if late := want.DeclaredAt.Add(DeliveryTimeout); now.Before(late) && len(have.predecessors()) == 0 {
		return Plan{Why: DeliveryPending, Wake: late}, true
	}
	return Plan{
		Why: DeliveryMissing, Wake: nextRetirement(now, want, have),
		Message: "The token has no valid version: the response that delivered it never arrived, or its record was deleted; request it again, or delete it",
	}, true
}

// ForeignSecretInterval is the interval at which the operator observes again what it does not
// watch: a Secret that it does not manage.
const ForeignSecretInterval = time.Minute

func secretForeign(now time.Time, want Desired, have Observed) (Plan, bool) {
	if have.Secret != SecretForeign {
		return Plan{}, false
	}
	return Plan{Why: SecretTaken, Wake: Earliest(nextRetirement(now, want, have), now.Add(ForeignSecretInterval))}, true
}

// secretMissing issues a new version without waiting for minOverlap, because new consumers have no
// valid token until then. Running pods may still hold the version before, so that version keeps its
// overlap. Every record that could be that version is superseded first, because the Secret no
// longer gives it to new consumers.
func secretMissing(now time.Time, want Desired, have Observed) (Plan, bool) {
	if have.Secret != SecretAbsent && have.Secret != SecretAltered {
		return Plan{}, false
	}
	if p, ok := supersedeRest(now, want, have); ok {
		return p, true
	}
	why := SecretGone
	switch {
	case have.Secret == SecretAltered:
		why = SecretChanged
	case len(have.Others) == 0:
		why = FirstIssue
	}
	var last Version
	if len(have.Others) > 0 {
		last = have.Others[0]
	}
	return issue(now, Plan{Why: why, Version: last}, want, have), true
}

// recordMissing replaces a version whose record was deleted to revoke it. A version that the crash
// of an earlier pass left unmarked still gets its overlap.
func recordMissing(now time.Time, want Desired, have Observed) (Plan, bool) {
	if have.Secret != SecretRecordMissing {
		return Plan{}, false
	}
	if p, ok := supersedeRest(now, want, have); ok {
		return p, true
	}
	return issue(now, Plan{Why: RecordMissing}, want, have), true
}

// supersedeRest supersedes the predecessors of a new version where no current version names its
// predecessor.
func supersedeRest(now time.Time, want Desired, have Observed) (Plan, bool) {
	for _, v := range have.Others {
		if !v.isSuperseded() {
			return Supersession(v, now, want.Retire), true
		}
	}
	return Plan{}, false
}

func expired(now time.Time, want Desired, have Observed) (Plan, bool) {
	c := have.Current
	if c == nil || !c.ExpiredAt(now) || want.rotates() || want.triggers(*c) {
		return Plan{}, false
	}
	remedy := "change spec.rotation.trigger for a new version"
	if want.DeliveredInResponse {
		remedy = "delete it and make a new one"
	}
	return Plan{
		Why: IsExpired, Wake: nextRetirement(now, want, have),
		Message: fmt.Sprintf("Expired at %s and nothing asked for rotation; %s", c.ExpiresAt.UTC().Format(time.RFC3339), remedy),
	}, true
}

func templateChanged(_ time.Time, _ Desired, have Observed) (Plan, bool) {
	if have.Secret != SecretOutdated {
		return Plan{}, false
	}
	return Plan{Do: Render, Why: TemplateChanged, Version: *have.Current}, true
}

// issue makes room first, because a new version turns the current one into a predecessor. A
// rotation waits for room. Where new consumers have no valid token, the oldest predecessor ends
// instead. next holds the reason and the version before the new one.
func issue(now time.Time, next Plan, want Desired, have Observed) Plan {
	if v, full := oldestExcessPredecessor(have); full {
		if p, ok := predecessorDue(now, want, have); ok {
			return p
		}
		return Plan{Do: RetireOne, Why: TooManyPredecessors, Version: v}
	}
	next.Do, next.ExpiresAt, next.UserUID = Issue, lifeFrom(now, want.Lifetime), want.User.UID
	if next.Why == SelfRequested {
		next.AuthorizedAt = next.Version.lifetimeStart()
		next.ExpiresAt = lifeFrom(next.AuthorizedAt, want.Lifetime)
	}
	return next
}

// FirstVersion returns the plan that issues the first version of a token for a caller.
func FirstVersion(now time.Time, want Desired) Plan {
	return issue(now, Plan{Why: FirstIssue}, want, Observed{})
}

func lifeFrom(issued time.Time, lifetime time.Duration) time.Time {
	if lifetime == 0 {
		return time.Time{}
	}
	return issued.Add(lifetime)
}
