package record

import (
	"bytes"
	"cmp"
	"time"

	"github.com/apptoken/operator/internal/token"
)

// Owner is the object that a credential belongs to. Namespace and name find it; the uid tells a namesake.
type Owner struct {
	Kind      string // ApplicationToken or User
	Namespace string
	Name      string
	UID       string
}

// Record vouches for one credential. Times have the precision of a second; zero times are absent.
type Record struct {
	Kind   token.Kind
	Digest token.Digest
	Hint   string // what people may see of the credential
	Owner  Owner

	Client       string
	User         string // on whose behalf the credential speaks; empty: the client's alone
	UserUID      string // of that User, where the owner is not the User itself; empty: not known
	Suspended    bool
	Roles        []string // sorted
	Permissions  []string // sorted
	SourceRanges []string // sorted, in CIDR notation

	IssuedAt     time.Time
	ExpiresAt    time.Time // the first instant at which it is refused
	Version      int64     // counts the credentials of the owner, from 1
	Trigger      string    // rotation.trigger at its issue
	Request      string    // digest of who asked for it and by which request; empty: the spec of its owner alone
	AuthorizedAt time.Time // of a rotation by a holder: the instant that its lifetime counts from; zero: IssuedAt
	Predecessor  string    // name of the record that it took over from
	SupersededAt time.Time

	Refresh     *Refresh
	Session     token.Digest  // of the session id without which the credential is refused; zero: it needs none
	IdleTimeout time.Duration // without use for so long, the credential is refused; 0: never
	Credential  string        // fingerprint of the password that opened a login

	AuthenticatedAt time.Time // when the password of a login was presented; zero in old records
	SessionEndsAt   time.Time // when the login ends for good, however often it is exchanged; zero: at no fixed time

	LastUsedAt   time.Time
	LastUsedFrom string

	CreatedAt time.Time // when the store got it, which after a restore is later than IssuedAt
	revision  string    // of the store, so that a change of what has changed meanwhile is refused
	uid       string
}

// Refresh vouches for the refresh token of a login.
type Refresh struct {
	Digest        token.Digest
	Family        token.Digest // shared by all refresh tokens of the session
	Previous      token.Digest // the refresh token before; zero: there was none
	PreviousUntil time.Time    // from then on presenting the one before is a replay
	Recent        []Recent     // others that were used up or replaced a moment ago; at most MaxRecent
	ExpiresAt     time.Time    // the first instant at which the refresh token is refused
}

// Recent is a refresh token that was used up or replaced a moment ago.
type Recent struct {
	Digest token.Digest
	Until  time.Time // from then on presenting it is a replay
}

// MaxRecent is how many a record has room for.
const MaxRecent = 8

// ByAge compares two records, for sorting: the older is less. Instants are whole seconds; of those of one second, the store's
// revisions tell which came first, unless one was changed since.
func ByAge(a, b Record) int {
	return cmp.Or(
		a.IssuedAt.Compare(b.IssuedAt), a.CreatedAt.Compare(b.CreatedAt),
		cmp.Compare(len(a.revision), len(b.revision)), cmp.Compare(a.revision, b.revision), // which are decimal numbers
		bytes.Compare(a.Digest[:], b.Digest[:]),
	)
}

// Over says whether nothing of the record is good at the instant now, nor ever will be.
func (r Record) Over(now time.Time) bool {
	ended := !r.ExpiresAt.IsZero() && !now.Before(r.ExpiresAt)
	if r.Refresh != nil {
		ended = ended && !now.Before(r.Refresh.ExpiresAt)
	}
	return ended || r.IdleTimeout > 0 && !now.Before(r.LastActive().Add(r.IdleTimeout))
}

// LastActive is the last use that the store knows of, or else the issue.
func (r Record) LastActive() time.Time {
	if r.LastUsedAt.After(r.IssuedAt) {
		return r.LastUsedAt
	}
	return r.IssuedAt
}

// Authenticated returns when the password of a login was presented. For records that do not say so it is their issue.
func (r Record) Authenticated() time.Time {
	if r.AuthenticatedAt.IsZero() {
		return r.IssuedAt
	}
	return r.AuthenticatedAt
}

// Name of the record, which follows from the digest.
func (r Record) Name() string { return r.Digest.RecordName() }
