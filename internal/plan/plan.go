package plan

import (
	"time"
)

// MaxPredecessors is the maximum number of predecessors beside the current version.
const MaxPredecessors = 3

// State is the desired state of a token as a whole.
type State int

// States of a token.
const (
	Active    State = iota
	Suspended       // rejected until it is Active again
	Revoked         // ended for good
)

// RetireWhen is the rule that ends a predecessor.
type RetireWhen int

// Rules that end a predecessor.
const (
	RetireUnused       RetireWhen = iota // once it is unused and a successor is used, and at Max in any case
	RetireAfterOverlap                   // at Max only
)

// Retire is the rule by which predecessors are retired. All three durations count from the
// supersession. Quiet counts from the last use if that was later.
type Retire struct {
	When  RetireWhen
	Min   time.Duration
	Quiet time.Duration
	Max   time.Duration
}

// Schedule is a calendar of instants in whole seconds, the precision of records. Next returns the
// first instant strictly after its argument; the zero time means never.
type Schedule interface {
	Next(after time.Time) time.Time
}

// Grants lists the rights of a version, the client and user that it acts for, and its source
// ranges.
type Grants struct {
	Client       string
	User         string   // empty: the token acts for the client alone
	Roles        []string // sorted
	Permissions  []string // sorted
	SourceRanges []string // sorted
	Suspended    bool
}

// User is the User that a token acts for. The zero value means that there is none, or that it is
// not known now.
type User struct {
	UID       string
	CreatedAt time.Time // its creation
}

// Refusal is the reason why a spec cannot be served, and what to change. The zero value refuses
// nothing.
type Refusal struct {
	Reason  string
	Message string
}

// Desired is the parsed spec of a token: references are resolved, grants are cut down to what the
// namespace may have, and durations are parsed.
type Desired struct {
	State   State
	Refused Refusal
	Grants  *Grants // for every live version; nil: not known now, so versions keep their grants
	User    User    // the User that Grants.User names

	Lifetime time.Duration // 0: versions do not expire
	Every    time.Duration // 0: no interval
	// MinInterval bounds how often Every and Schedule rotate. A spec that rotates more often is
	// refused; this bound holds where the refusal missed it.
	MinInterval time.Duration
	Schedule    Schedule // nil: no calendar
	Trigger     string
	Request     string // asks for one rotation when it changes, like Trigger; empty: none
	// SelfRequest is the record whose holder asks for a rotation; empty: no holder asks.
	// SelfRotationForbidden rejects such requests.
	SelfRequest           string
	SelfRotationForbidden bool
	DeliveredInResponse   bool      // delivered in responses of the HTTP API; nothing is issued here
	DeclaredAt            time.Time // when the token was declared
	Retire                Retire
	Spread                float64 // in [0, 1): the position among tokens that rotate at the same instant
}

// triggers reports whether Trigger or Request asks for a rotation that did not produce v.
func (d Desired) triggers(v Version) bool {
	return v.Trigger != d.Trigger || d.Request != "" && v.Request != d.Request
}

// selfRequests reports whether the holder of v asks for its rotation and is allowed to.
func (d Desired) selfRequests(v Version) bool {
	return d.SelfRequest != "" && d.SelfRequest == v.Record && !d.SelfRotationForbidden
}

// rotates reports whether the spec schedules rotations, by interval or by calendar.
func (d Desired) rotates() bool { return d.Every > 0 || d.Schedule != nil }

// Version is one credential and its record. Zero times mean absent.
type Version struct {
	Record       string
	Number       int64
	Hint         string
	Trigger      string // rotation.trigger at its issue
	Request      string // Desired.Request at its issue, or the ID of a Request
	Predecessor  string
	Grants       Grants
	UserUID      string // uid of the User in Grants; empty: not known
	Restored     bool   // the record names an earlier uid of the owner, because both were restored from a backup
	IssuedAt     time.Time
	AuthorizedAt time.Time // set where a holder asked for it: the issue that its lifetime counts from
	CreatedAt    time.Time // when the API server created the record
	ExpiresAt    time.Time
	SupersededAt time.Time
	LastUsedAt   time.Time
	LastUsedFrom string
}

func (v Version) isSuperseded() bool { return !v.SupersededAt.IsZero() }

// isSelfRotated reports whether a holder asked for v.
func (v Version) isSelfRotated() bool { return !v.AuthorizedAt.IsZero() }

// lifetimeStart returns the instant that the lifetime of v counts from. That is its issue. For a
// rotation by a holder it is the issue of the version that the spec or an administrator asked for.
// Holders therefore cannot lengthen the lifetime that they were given.
func (v Version) lifetimeStart() time.Time {
	if v.isSelfRotated() {
		return v.AuthorizedAt
	}
	return v.IssuedAt
}

// ExpiredAt reports whether v is rejected at the instant now. At ExpiresAt itself it is already
// rejected.
func (v Version) ExpiredAt(now time.Time) bool {
	return !v.ExpiresAt.IsZero() && !now.Before(v.ExpiresAt)
}

// SecretState is the observed state of the Secret that the spec names.
type SecretState int

// States of a Secret.
const (
	SecretAbsent        SecretState = iota
	SecretForeign                   // exists and is not managed by the operator
	SecretAltered                   // managed, but the token that it names is not in it, or is superseded
	SecretRecordMissing             // managed, and it names a record that was deleted
	SecretOutdated                  // holds the current token; template, labels or annotations differ
	SecretIntact                    // holds the current token as the spec asks
)

// Observed is the observed state of a token. Current is the version in the Secret, or the version
// that was delivered in a response. It is nil without a live record. Others are all other records
// of the token, newest first.
type Observed struct {
	Secret            SecretState
	HasFormerSecret   bool // a managed Secret exists under a name that the spec asked for before
	Current           *Version
	Others            []Version
	IncompleteRollout string // a consumer with an incomplete rollout of the current version; empty: none, or not observed
	// RolloutSeenAt is when IncompleteRollout was observed. The zero time means the instant of the
	// plan.
	RolloutSeenAt time.Time
	// UsesKnownFrom is the instant at which the records hold the uses that replicas noted during an
	// outage of the API server: some time after the last outage. The zero time means that the
	// records are complete.
	UsesKnownFrom time.Time
}

// predecessors returns the superseded versions, newest first.
func (o Observed) predecessors() []Version {
	var ps []Version
	for _, v := range o.Others {
		if v.isSuperseded() {
			ps = append(ps, v)
		}
	}
	return ps
}

// Action is one thing to do.
type Action int

// The actions.
const (
	Nothing   Action = iota
	Issue            // mint a version, record it, write it to the Secret; its predecessor is Plan.Version
	Replace          // mint Plan.Version again, in its place: the caller did not receive it
	Supersede        // mark Plan.Version as superseded at Plan.SupersededAt, with its end at Plan.ExpiresAt
	Change           // set on the record of Plan.Version: owner, desired grants, Plan.IssuedAt and Plan.ExpiresAt
	RetireOne        // delete the record of Plan.Version
	RetireAll        // delete every record, and the Secret if the operator manages it
	Render           // write the Secret again with the token that it holds
)

// Plan is one action and its reason.
type Plan struct {
	Do      Action
	Why     Why
	Message string // for users, where Why alone does not suffice

	Version      Version   // the subject of the action; for Issue, the predecessor or the zero value
	SupersededAt time.Time // for Supersede
	IssuedAt     time.Time // for Change, where the record has a wrong one; zero: it stays
	AuthorizedAt time.Time // for Issue on behalf of a holder
	ExpiresAt    time.Time // for Issue, Replace, Supersede, Change; zero: never
	UserUID      string    // for Issue and Change: uid of the User that the version acts for
	DeferredBy   Why       // for RotationPending: what defers the rotation
	Wake         time.Time // for Nothing: when to evaluate again; zero: when something changes
}
