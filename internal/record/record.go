package record

import (
	"bytes"
	"cmp"
	"errors"
	"regexp"
	"time"

	"github.com/apptoken/operator/internal/token"
)

var (
	// ErrExists reports that the store has a record of that name already.
	ErrExists = errors.New("the record exists already")
	// ErrGone reports that the record is not in the store any more. It never comes back.
	ErrGone = errors.New("the record is gone")
	// ErrStale reports that the record has changed since it was read: read it and decide again.
	ErrStale = errors.New("the record has changed meanwhile")
	// ErrAmbiguous reports that two credentials share the first half of their digests, or that a
	// record was tampered with.
	ErrAmbiguous = errors.New("the record is of another credential")
)

// Owner is the object that a credential belongs to. It is found by namespace and name; the UID
// distinguishes objects of the same name.
type Owner struct {
	Kind      string // ApplicationToken, User, or TokenRecord for an access token
	Namespace string
	Name      string
	UID       string
}

// LoginQuery selects logins of a user, or access tokens of an application token.
type LoginQuery struct {
	User Owner      // or the owner of the access tokens
	Kind token.Kind // 0: every kind
	// Fewest makes the list empty where fewer of these logins are at Client. Most logins are below
	// their limit, and then no record has to be parsed.
	Client string
	Fewest int
}

// Record vouches for one credential. Times have a precision of one second; zero times are absent.
type Record struct {
	Kind   token.Kind
	Digest token.Digest
	Hint   string // the part of the credential that users may see
	Owner  Owner

	Client       string
	User         string // on whose behalf the credential speaks; empty: the client alone
	UserUID      string // of that User, where the owner is not the User itself; empty: not known
	Suspended    bool
	Roles        []string // sorted
	Permissions  []string // sorted; those that a login is narrowed to, or none
	SourceRanges []string // sorted, in CIDR notation

	IssuedAt  time.Time
	ExpiresAt time.Time // the first instant at which it is rejected
	Version   int64     // counts the credentials of the owner, from 1
	Trigger   string    // rotation.trigger when it was issued
	Request   string    // digest of the caller and the request; empty: issued for the owner's spec
	// AuthorizedAt is the instant from which the lifetime counts if a holder of the token rotated
	// it; zero: IssuedAt.
	AuthorizedAt time.Time
	Predecessor  string // name of the record that it took over from
	// Parent is the digest of the application token that an access token was issued for; zero: it
	// is no access token.
	Parent       token.Digest
	SupersededAt time.Time

	Refresh     *Refresh
	Session     token.Digest  // digest of the session ID that must be presented too; zero: none
	IdleTimeout time.Duration // the credential is rejected if unused for this long; 0: never
	Credential  string        // fingerprint of the password that opened a login

	AuthenticatedAt time.Time // when the password of a login was presented; zero in old records
	SessionEndsAt   time.Time // when the login ends for good, however often it is exchanged; zero: at no fixed time

	LastUsedAt   time.Time
	LastUsedFrom string

	CreatedAt time.Time // when the API server stored it; after a restore, later than IssuedAt
	Revision  string    // resourceVersion: an outdated one makes the API server reject a change
	UID       string
}

// Refresh vouches for the refresh token of a login.
type Refresh struct {
	Digest        token.Digest
	Family        token.Digest // shared by all refresh tokens of the session
	Previous      token.Digest // the previous refresh token; zero: there was none
	PreviousUntil time.Time    // from then on, presenting the previous one is a replay
	Recent        []Recent     // others that were used up or replaced a moment ago; at most MaxRecent
	ExpiresAt     time.Time    // the first instant at which the refresh token is rejected
	Permissions   []string     // sorted; what the session is narrowed to, if this login is narrowed further
	IsOfUser      bool         // the session is not narrowed, although this login is
}

// Recent is a refresh token that was used up or replaced a moment ago.
type Recent struct {
	Digest token.Digest
	Until  time.Time // from then on, presenting it is a replay
}

// MaxRecent is how many Recent entries a Refresh has room for.
const MaxRecent = 8

// CompareAge compares two records for sorting; the older one is less. Instants are whole seconds.
// Within one second the resourceVersions order the records, unless one of them was changed since.
func CompareAge(a, b Record) int {
	return cmp.Or(
		a.IssuedAt.Compare(b.IssuedAt), a.CreatedAt.Compare(b.CreatedAt),
		cmp.Compare(len(a.Revision), len(b.Revision)), cmp.Compare(a.Revision, b.Revision), // decimal numbers
		bytes.Compare(a.Digest[:], b.Digest[:]),
	)
}

// IsOver reports whether nothing of the record is valid at the instant now, or ever will be again.
func (r Record) IsOver(now time.Time) bool {
	ended := !r.ExpiresAt.IsZero() && !now.Before(r.ExpiresAt)
	if r.Refresh != nil {
		ended = ended && !now.Before(r.Refresh.ExpiresAt)
	}
	return ended || r.IdleTimeout > 0 && !now.Before(r.LastActive().Add(r.IdleTimeout))
}

// LastActive returns the last use in the API server, or the issue if there is none.
func (r Record) LastActive() time.Time {
	if r.LastUsedAt.After(r.IssuedAt) {
		return r.LastUsedAt
	}
	return r.IssuedAt
}

// Authenticated returns when the password of a login was presented. For records without that
// instant it returns the instant of issue.
func (r Record) Authenticated() time.Time {
	if r.AuthenticatedAt.IsZero() {
		return r.IssuedAt
	}
	return r.AuthenticatedAt
}

// SessionPermissions returns the permissions to which the session of a login is narrowed, and which
// its refresh token keeps. It returns none if the session is not narrowed.
func (r Record) SessionPermissions() []string {
	switch {
	case r.Refresh == nil:
		return r.Permissions
	case r.Refresh.IsOfUser:
		return nil
	case len(r.Refresh.Permissions) > 0:
		return r.Refresh.Permissions
	default:
		return r.Permissions
	}
}

// Name returns the name of the record, which follows from the digest.
func (r Record) Name() string { return r.Digest.RecordName() }

// recordName matches the names that Record.Name returns.
var recordName = regexp.MustCompile(`^at-[0-9a-f]{32}$`)

// IsName reports whether a record can have the name. Users of the namespace can write some of the
// fields that name records.
func IsName(name string) bool { return recordName.MatchString(name) }

// maxClockSkew is how much later than the creation by the API server the issue of a record may be,
// to allow for clock differences.
const maxClockSkew = time.Minute

// CorrectDates corrects the record of a login that was issued by a clock that ran ahead. Its life
// counts from its creation, which the API server dated, and all other instants move along. The
// reconcilers deal with records of an ApplicationToken: they rotate it.
func (r *Record) CorrectDates() {
	ahead := r.IssuedAt.Sub(r.CreatedAt)
	if ahead <= maxClockSkew || r.CreatedAt.IsZero() { // the API server always sets it
		return
	}
	instants := []*time.Time{&r.IssuedAt, &r.ExpiresAt}
	if r.AuthenticatedAt.After(r.CreatedAt) { // otherwise another clock dated the session
		instants = append(instants, &r.AuthenticatedAt, &r.SessionEndsAt)
	}
	if r.Refresh != nil {
		instants = append(instants, &r.Refresh.PreviousUntil, &r.Refresh.ExpiresAt)
		for i := range r.Refresh.Recent {
			instants = append(instants, &r.Refresh.Recent[i].Until)
		}
	}
	for _, t := range instants {
		if !t.IsZero() {
			*t = t.Add(-ahead)
		}
	}
}
