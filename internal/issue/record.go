package issue

import (
	"slices"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

// NewRecord returns the record of the version that p asks for, with the plaintext tok. The version
// takes over from p.Version. The grants in d must be known.
func NewRecord(now time.Time, at *v1alpha1.ApplicationToken, d tokenspec.Desired, p plan.Plan, tok token.Token) record.Record {
	r := record.Record{
		Digest: tok.Digest(), Hint: tok.Hint(), Owner: tokenspec.OwnerOf(at), UserUID: p.UserUID,
		IssuedAt: now, AuthorizedAt: p.AuthorizedAt, ExpiresAt: p.ExpiresAt,
		Version: p.Version.Number + 1, Predecessor: p.Version.Record,
	}
	if p.Do == plan.Replace { // the same version once more
		v := p.Version
		r.Version, r.Predecessor, r.IssuedAt, r.AuthorizedAt = v.Number, v.Predecessor, v.IssuedAt, v.AuthorizedAt
	}
	SetGrants(&r, d)
	return r
}

// SetGrants gives a record the grants of a desired state, if they are known. It reports whether the
// record changed.
func SetGrants(r *record.Record, d tokenspec.Desired) bool {
	g := d.Grants
	if g == nil {
		return false
	}
	before := *r
	r.Kind, r.Client, r.User, r.Suspended = d.Kind, g.Client, g.User, g.Suspended
	r.Roles, r.Permissions, r.SourceRanges = g.Roles, g.Permissions, g.SourceRanges
	return !haveSameGrants(before, *r)
}

// SetSuperseded records in r that another version took over from it, as p has it.
func SetSuperseded(r *record.Record, p plan.Plan) {
	r.SupersededAt, r.ExpiresAt = p.SupersededAt, p.ExpiresAt
}

func haveSameGrants(a, b record.Record) bool {
	return a.Kind == b.Kind && a.Client == b.Client && a.User == b.User && a.Suspended == b.Suspended &&
		slices.Equal(a.Roles, b.Roles) && slices.Equal(a.Permissions, b.Permissions) && slices.Equal(a.SourceRanges, b.SourceRanges)
}

// isInterchangeable reports whether a stored record can serve in place of another with the same
// plaintext.
func isInterchangeable(stored, r record.Record) bool {
	return stored.Owner == r.Owner && stored.UserUID == r.UserUID && haveSameGrants(stored, r) &&
		stored.Version == r.Version && stored.Predecessor == r.Predecessor && stored.Trigger == r.Trigger && stored.Request == r.Request &&
		stored.IssuedAt.Equal(r.IssuedAt) && stored.AuthorizedAt.Equal(r.AuthorizedAt) && stored.ExpiresAt.Equal(r.ExpiresAt)
}
