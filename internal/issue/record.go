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

// SetGrants gives a record the kind, the owner and the rights of a desired state, if they are
// known.
func SetGrants(r *record.Record, d tokenspec.Desired) {
	if g := d.Grants; g != nil {
		r.Kind, r.Client, r.User = d.Kind, g.Client, g.User
		SetRights(r, g)
	}
}

// SetRights gives a record the rights in g, and reports whether it changed. Unknown rights change
// nothing.
func SetRights(r *record.Record, g *plan.Grants) bool {
	if g == nil {
		return false
	}
	same := r.Suspended == g.Suspended && slices.Equal(r.Roles, g.Roles) &&
		slices.Equal(r.Permissions, g.Permissions) && slices.Equal(r.SourceRanges, g.SourceRanges)
	r.Suspended, r.Roles, r.Permissions, r.SourceRanges = g.Suspended, g.Roles, g.Permissions, g.SourceRanges
	return !same
}

// SetSuperseded records in r that another version took over from it, as p has it.
func SetSuperseded(r *record.Record, p plan.Plan) {
	r.SupersededAt, r.ExpiresAt = p.SupersededAt, p.ExpiresAt
}
