package record

import (
	"time"

	"github.com/apptoken/operator/internal/token"
)

// Owner is the object that a credential belongs to. Namespace and name find it; the uid tells a namesake.
type Owner struct {
	Kind      string // ApplicationToken
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
	Suspended    bool
	Roles        []string // sorted
	Permissions  []string // sorted
	SourceRanges []string // sorted, in CIDR notation

	IssuedAt     time.Time
	ExpiresAt    time.Time // the first instant at which it is refused
	Version      int64     // counts the credentials of the owner, from 1
	Trigger      string    // rotation.trigger at its issue
	Predecessor  string    // name of the record that it took over from
	SupersededAt time.Time

	LastUsedAt   time.Time
	LastUsedFrom string

	CreatedAt time.Time // when the store got it, which after a restore is later than IssuedAt
	revision  string    // of the store, so that a change of what has changed meanwhile is refused
	uid       string
}

// Name of the record, which follows from the digest.
func (r Record) Name() string { return r.Digest.RecordName() }
