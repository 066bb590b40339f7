package plan

import "time"

// MaxPredecessors is how many predecessors are kept beside the current version.
const MaxPredecessors = 3

// State is what the owner wants of a token as a whole.
type State int

// States of a token.
const (
	Active    State = iota
	Suspended       // refused until it is Active again
	Revoked         // ended for good
)

// When says what ends a predecessor.
type When int

// What ends a predecessor.
const (
	Unused       When = iota // out of use while a successor is used, and Max in any case
	AfterOverlap             // Max alone
)

// Retire is the rule by which predecessors go. All three lengths count from the instant of supersession, Quiet from the
// last use if that was later.
type Retire struct {
	When  When
	Min   time.Duration
	Quiet time.Duration
	Max   time.Duration
}

// Schedule names the instants of a calendar, in whole seconds, as records keep them. Next is strictly after its argument;
// zero means never.
type Schedule interface {
	Next(after time.Time) time.Time
}

// Grants is what a version carries.
type Grants struct {
	Client       string
	User         string   // empty: it speaks for the client alone
	Roles        []string // sorted
	Permissions  []string // sorted
	SourceRanges []string // sorted
	Suspended    bool
}

// User is the User whom a token speaks for. The zero value says that there is none, or that it is not known now.
type User struct {
	UID   string
	Since time.Time // its creation
}

// Refusal says why the spec cannot be served, and what to change. Its zero value refuses nothing.
type Refusal struct {
	Reason  string
	Message string
}

// Desired is a spec, understood: references resolved, grants cut down to what the namespace may have, durations parsed.
type Desired struct {
	State   State
	Refused Refusal
	Grants  *Grants // what every live version should carry now; nil: not known now, so what they carry stays
	User    User    // whom Grants.User names

	Lifetime time.Duration // 0: versions do not expire
	Every    time.Duration // 0: no interval
	// MinInterval bounds how often Every and Schedule rotate. A spec that asks for more is refused; this holds where it is not.
	MinInterval time.Duration
	Schedule    Schedule // nil: no calendar
	Trigger     string
	Request     string // asks for one rotation beside the trigger, as a change of it does; empty: nothing does
	// SelfRequest is the record whose holder asks for a rotation; empty: no holder does. SelfForbidden refuses holders.
	SelfRequest   string
	SelfForbidden bool
	Answered      bool      // each version is given in an answer of the HTTP API, and nothing is issued here
	Since         time.Time // when the token was declared
	Retire        Retire
	Spread        float64 // in [0, 1): this token's place among those that rotate at the same instant
}

// triggers says whether a rotation was asked for that v did not come from.
func (d Desired) triggers(v Version) bool {
	return v.Trigger != d.Trigger || d.Request != "" && v.Request != d.Request
}

// selfRequests reports whether the holder of v asks for its rotation, and may.
func (d Desired) selfRequests(v Version) bool {
	return d.SelfRequest != "" && d.SelfRequest == v.Record && !d.SelfForbidden
}

// rotates says whether rotation was asked for, beside the trigger.
func (d Desired) rotates() bool { return d.Every > 0 || d.Schedule != nil }

// Version is one credential and the record that vouches for it. Zero times are absent.
type Version struct {
	Record       string
	Number       int64
	Hint         string
	Trigger      string // rotation.trigger at its issue
	Request      string // what else had asked for it
	Predecessor  string
	Grants       Grants
	UserUID      string // of the User in Grants; empty: not known
	Restored     bool   // its record names a former life of the owner, which came back from a backup together with it
	IssuedAt     time.Time
	AuthorizedAt time.Time // set where a holder asked for it: the issue that its lifetime counts from
	CreatedAt    time.Time // when the API server got the record
	ExpiresAt    time.Time
	SupersededAt time.Time
	LastUsedAt   time.Time
	LastUsedFrom string
}

func (v Version) superseded() bool { return !v.SupersededAt.IsZero() }

// selfRotated reports whether a holder asked for v.
func (v Version) selfRotated() bool { return !v.AuthorizedAt.IsZero() }

// authorized returns the instant that the lifetime of v counts from: its issue, or for a rotation by a holder the issue of
// the version that the declaration or an administrator asked for. Holders cannot lengthen what they were given.
func (v Version) authorized() time.Time {
	if v.selfRotated() {
		return v.AuthorizedAt
	}
	return v.IssuedAt
}

// ExpiredAt says whether v is refused at the instant now. The instant ExpiresAt itself is too late.
func (v Version) ExpiredAt(now time.Time) bool {
	return !v.ExpiresAt.IsZero() && !now.Before(v.ExpiresAt)
}

// Secret is what was found under the Secret's name.
type Secret int

// What can be found under the Secret's name.
const (
	SecretAbsent    Secret = iota
	SecretForeign          // there, and not ours
	SecretAltered          // ours, but what it names is not in it, or is superseded
	SecretUnvouched        // ours, and it names a record that is gone
	SecretOutdated         // holds the current token; template, labels or annotations differ
	SecretIntact           // holds the current token as the spec asks
)

// Observed is what there is. Current is the version in the Secret, or that was given in an answer, where a live record
// vouches for it, else nil; Others are all further records of the token, the newest first.
type Observed struct {
	Secret  Secret
	Former  bool // there is a Secret of ours too, of a name that the spec asked for before
	Current *Version
	Others  []Version
	Rollout string // a consumer whose rollout for the current version is not complete; empty: none, or not looked at
	// RolloutSeenAt is when Rollout was looked at. Zero: at the instant of the plan.
	RolloutSeenAt time.Time
	// UsesKnownFrom is when the records have the uses that replicas noted while the API server was
	// away: some time after the last outage. Zero: they have.
	UsesKnownFrom time.Time
}

// predecessors are the versions that a successor took over from, the newest first.
func (o Observed) predecessors() []Version {
	var ps []Version
	for _, v := range o.Others {
		if v.superseded() {
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
	Issue            // mint a version, record it, put it into the Secret; it takes over from Plan.Version, if that is set
	Replace          // mint Plan.Version once more, in its place: whoever asked for it did not get it
	Supersede        // mark Plan.Version as taken over at Plan.SupersededAt, to end at Plan.ExpiresAt
	Change           // give the record of Plan.Version its owner, the wanted grants, Plan.IssuedAt and Plan.ExpiresAt
	RetireOne        // delete the record of Plan.Version
	RetireAll        // delete every record, and the Secret if it is ours
	Render           // write the Secret anew with the token that it holds
)

// Plan is one action and its reason.
type Plan struct {
	Do      Action
	Why     Why
	Message string // for people, where Why alone does not say it

	Version      Version   // the one that the action is about; for Issue, the predecessor or the zero value
	SupersededAt time.Time // for Supersede
	IssuedAt     time.Time // for Change, where the record has a wrong one; zero: it stays
	AuthorizedAt time.Time // for Issue on behalf of a holder
	ExpiresAt    time.Time // for Issue, Replace, Supersede, Change; zero: never
	UserUID      string    // for Issue and Change: of the User whom the version speaks for
	Held         Why       // for RotationPending: what it waits for
	Wake         time.Time // for Nothing: when to ask again; zero: when something changes
}
