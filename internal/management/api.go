package management

import (
	"context"
	"errors"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/token"
)

// PermissionEscalate lets a caller make, change and see tokens that may do more than the caller
// may. No wildcard that is used to administer tokens covers it: "sec.application-token.*" does not.
const PermissionEscalate = "sec.escalate.application-token"

// Caller is the principal that makes a request. The zero Caller holds nothing.
type Caller struct {
	// ID names the caller's credential, as its record does: "at-...". For a user who presents a
	// name and a password it is "user NAME". Two requests of one caller have the same ID.
	ID string
	// Subject is the owner of the credential: the namespace and the name of an ApplicationToken, or
	// the name of a User.
	Subject string
	// Authority is the upper bound of the tokens that this caller may make, change, or see.
	Authority grant.Authority
	// CanEscalate reports whether the caller may go beyond its Authority.
	CanEscalate bool
}

// Scope selects the tokens of a client, or the tokens of a user.
type Scope struct {
	Client string // for the tokens of a user: the account at which a new one is made
	User   string // empty: the client's own tokens
}

// Token is an application token as its administrators see it. It never holds the plaintext.
type Token struct {
	// Name is the name of the token in the management API. For a token that was made here, it is
	// the name that the caller gave. For a token that is declared in another namespace, it is the
	// namespace and the name joined by a colon.
	Name         string
	Namespace    string // of the ApplicationToken
	Object       string // the name of the ApplicationToken
	Client       string
	User         string // empty: the token belongs to the client
	Declared     bool   // by a manifest outside the operator's namespace; its token is in a Secret
	ID           string // of the current version, as verification returns it; empty if there is none
	Hint         string
	State        string // Active, Suspended or Revoked
	Ready        bool
	Reason       string // why it is ready or not
	Roles        []string
	Permissions  []string
	SourceRanges []string
	Lifetime     time.Duration // 0: without end
	IssuedAt     time.Time     // of the current version
	ExpiresAt    time.Time     // zero: never
	LastUsedAt   time.Time
	LastUsedFrom string
	Rotations    int64
	Predecessors int // number of valid predecessors
}

// TokenSpec is the spec of a new token.
type TokenSpec struct {
	Name         string
	Roles        []string
	Permissions  []string
	SourceRanges []string
	Lifetime     time.Duration // 0: without end
}

// Change is a change of a token; nil fields stay. The plaintext stays the same.
type Change struct {
	Roles        *[]string
	Permissions  *[]string
	SourceRanges *[]string
	State        *string // Active or Suspended
}

// Issued is a token that was made, with its plaintext. Secret is the zero token.Token where the
// plaintext goes into a Secret instead.
type Issued struct {
	Token  Token
	Secret token.Token
}

var (
	// ErrNotFound reports that the scope has no token of that name.
	ErrNotFound = errors.New("no such token")
	// ErrExists reports that a token of that name exists.
	ErrExists = errors.New("a token of that name exists")
	// ErrRetryExpired reports that a retry comes too late. The token of the first response is in
	// use or was rotated, or the time for retries is over.
	ErrRetryExpired = errors.New("the request was served before, and it is too late for a retry")
	// ErrSuperseded reports that the caller's version has been superseded by another version.
	ErrSuperseded = errors.New("the version has been superseded by a newer one")
	// ErrUnavailable reports that the state cannot be read or written at the moment.
	ErrUnavailable = errors.New("the request cannot be served at the moment")
)

// Refused reports what prevents a request, in words that the user can act on.
type Refused struct {
	Field         string // of the request; empty: no particular field
	Message       string
	QuotaExceeded bool // a quota is exhausted; the request itself is valid
}

func (r *Refused) Error() string {
	if r.Field == "" {
		return r.Message
	}
	return r.Field + " " + r.Message
}

// Denied reports that this caller may not do what it asks for, although others may.
type Denied struct {
	Field      string // of the request; empty: no particular field
	Message    string
	Permission string // that would allow it; empty: none would
}

func (e *Denied) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + " " + e.Message
}

// TooSoon reports that the caller must ask again later.
type TooSoon struct {
	After   time.Duration
	Message string
}

func (t *TooSoon) Error() string { return t.Message }

// API executes requests for application tokens. It is safe for concurrent use, on every replica.
type API interface {
	// Subject returns the subject of the credentials of a token, whether or not the token exists.
	// It reads nothing.
	Subject(scope Scope, name string) string
	// Create makes a token. It returns ErrExists if the scope has a token of that name.
	Create(ctx context.Context, by Caller, scope Scope, spec TokenSpec) (Issued, error)
	// List returns the tokens of a scope, ordered by name.
	List(ctx context.Context, scope Scope) ([]Token, error)
	// Get returns one token.
	Get(ctx context.Context, scope Scope, name string) (Token, error)
	// Change changes what a token may do, or suspends it.
	Change(ctx context.Context, by Caller, scope Scope, name string, c Change) (Token, error)
	// Clone makes a token with the grants of another. A second call of the same caller with the
	// same key within a few minutes is a retry. It replaces the token of the first call if that is
	// unused.
	Clone(ctx context.Context, by Caller, scope Scope, name, as, key string) (Issued, error)
	// Rotate makes a successor under the same name. The predecessor stays valid for its overlap.
	// See Clone for the key.
	Rotate(ctx context.Context, by Caller, scope Scope, name, key string) (Issued, error)
	// RotateOwn is Rotate for the holder of the token with the digest. It is allowed at most once
	// in each minOverlap, and only where the client permits holders to rotate. A second call with
	// the same token and key is a retry, and never replaces what another caller asked for. The
	// successor ends no later than the version that an administrator or the spec asked for.
	RotateOwn(ctx context.Context, by Caller, d token.Digest, key string) (Issued, error)
	// Revoke ends every version of a token.
	Revoke(ctx context.Context, scope Scope, name string) error
}
