// Package desk says what can be asked for over the counter: application tokens that are made, listed, changed, cloned,
// rotated and revoked by requests of programs and people, beside those that are declared in Git.
//
// It is the words of both sides: of the protocols, which know nothing of Kubernetes, and of controllers, which does what is
// asked. Whether the caller may ask is decided before, by whoever knows the caller.
package desk

import (
	"context"
	"errors"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/token"
)

// PermissionEscalate lets a caller make, change and be shown tokens that may do more than the caller may. No wildcard that is
// in use to administer tokens covers it: "sec.application-token.*" does not.
const PermissionEscalate = "sec.escalate.application-token"

// Caller is the principal that a request is made by. The zero Caller holds nothing.
type Caller struct {
	// ID names the credential that calls, as its record does: "at-..."; or "user NAME" for a user who comes with a name and
	// a password. Two requests of one caller have the same ID.
	ID string
	// Subject is whom the credential is of: the namespace and the name of an ApplicationToken, or the name of a User.
	Subject string
	// Holds is the most that a token may have that this caller makes, changes, or is shown.
	Holds grant.Authority
	// Escalates reports whether the caller may go beyond what it holds.
	Escalates bool
}

// Scope is whose tokens are asked about: those of a client, or those of a user.
type Scope struct {
	Client string // of a user's: the account at which a new one is made
	User   string // empty: the client's own
}

// Token is an application token as its administrators see it. It never has the plaintext.
type Token struct {
	// Name is by what it is addressed here: that which it was given here, or, of one that is declared in another namespace,
	// the namespace and the name joined by a colon.
	Name         string
	Namespace    string // of the ApplicationToken
	Object       string // its name
	Client       string
	User         string // empty: it is the client's
	Declared     bool   // in another namespace than the operator's own, by somebody's manifest: its token goes into a Secret
	ID           string // of the current version, as verification tells it; empty if there is none
	Hint         string
	State        string // Active, Suspended or Revoked
	Ready        bool
	Reason       string // why it is ready or not
	Roles        []string
	Permissions  []string
	SourceRanges []string
	Lifetime     time.Duration // 0: it does not expire
	IssuedAt     time.Time     // of the current version
	ExpiresAt    time.Time     // zero: it does not expire
	LastUsedAt   time.Time
	LastUsedFrom string
	Rotations    int64
	Predecessors int // that are still good
}

// Wanted is a token that is to be made.
type Wanted struct {
	Name         string
	Roles        []string
	Permissions  []string
	SourceRanges []string
	Lifetime     time.Duration // 0: it does not expire
}

// Change is what is to be changed of a token; nil: it stays. The token itself stays the same.
type Change struct {
	Roles        *[]string
	Permissions  *[]string
	SourceRanges *[]string
	State        *string // Active or Suspended
}

// Issued is a token that was made, and once its plaintext: the zero token.Token where it goes into a Secret instead.
type Issued struct {
	Token  Token
	Secret token.Token
}

var (
	// ErrMissing says that there is no such token in the scope.
	ErrMissing = errors.New("there is no such token")
	// ErrTaken says that there is one of that name.
	ErrTaken = errors.New("there is a token of that name")
	// ErrDone says that a retry comes too late: the token that the first answer carried is in use or was rotated, or the time
	// for retries is over.
	ErrDone = errors.New("the same request was served before, and it is too late to serve it again")
	// ErrSuperseded says that another version took over from that of the holder who asks.
	ErrSuperseded = errors.New("a newer version has taken over from this one")
	// ErrUnavailable says that it cannot be told, or not be written, at the moment.
	ErrUnavailable = errors.New("it cannot be done at the moment")
)

// Refused says what stands in the way, in words that can be acted on.
type Refused struct {
	Field   string // of what was wanted; empty: none in particular
	Message string
	Full    bool // a quota is used up: there is nothing wrong with what was wanted
}

func (r *Refused) Error() string {
	if r.Field == "" {
		return r.Message
	}
	return r.Field + " " + r.Message
}

// Denied reports that this caller may not do what it asks for, although others may.
type Denied struct {
	Field      string // of what was asked for; empty: none in particular
	Message    string
	Permission string // with which the caller might; empty: with none
}

func (e *Denied) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + " " + e.Message
}

// TooSoon refuses what may be asked for again later.
type TooSoon struct {
	After   time.Duration
	Message string
}

func (t *TooSoon) Error() string { return t.Message }

// Desk does what is asked. Safe for use by many, on every replica.
type Desk interface {
	// Subject returns the subject of the credentials of a token, whether or not there is one of that name. It reads nothing.
	Subject(s Scope, name string) string
	// Create makes a token. ErrTaken if the scope has one of that name.
	Create(ctx context.Context, by Caller, s Scope, w Wanted) (Issued, error)
	// List lists the tokens of a scope by name.
	List(ctx context.Context, s Scope) ([]Token, error)
	// Get finds one.
	Get(ctx context.Context, s Scope, name string) (Token, error)
	// Change changes what one may do, or suspends it.
	Change(ctx context.Context, by Caller, s Scope, name string, c Change) (Token, error)
	// Clone makes a token that may do what another may. A second call of the same caller under the same key is a retry for a
	// few minutes: it replaces what the first made, if that was not used.
	Clone(ctx context.Context, by Caller, s Scope, name, as, key string) (Issued, error)
	// Rotate makes a successor under the same name; the predecessor stays valid for its overlap. For the key see Clone.
	Rotate(ctx context.Context, by Caller, s Scope, name, key string) (Issued, error)
	// RotateOwn is Rotate for the holder of the token of the digest, at most once in each minOverlap and as far as the client
	// lets holders. A second call with the same token and key is a retry; it never replaces what another caller asked for.
	// The successor ends no later than the version that an administrator or the declaration gave.
	RotateOwn(ctx context.Context, by Caller, d token.Digest, key string) (Issued, error)
	// Revoke ends every version of a token.
	Revoke(ctx context.Context, s Scope, name string) error
}
