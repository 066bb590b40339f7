package controllers

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/verify"
)

// authorityOf returns the authority of a version that expires at end. It uses what the spec asks
// for, not what the client grants of that today: the client may grant more tomorrow.
func authorityOf(w wish, end time.Time) grant.Authority {
	return grant.Authority{Roles: w.asked.roles, Permissions: w.asked.permissions, Ranges: verify.Ranges(w.asked.sourceRanges), End: end}
}

// endOf returns when a version expires that is made now; zero: never.
func (d *Desk) endOf(w wish) time.Time {
	if w.Lifetime == 0 {
		return time.Time{}
	}
	return d.now().Add(w.Lifetime)
}

// audience returns an error if a token of the authority must not be delivered to the caller.
type audience func(grant.Authority) error

func shownTo(by desk.Caller) audience { return func(a grant.Authority) error { return permit(by, a) } }

// toHolder is the audience of a token that rotates itself: the successor has the authority that the
// holder has already.
func toHolder(grant.Authority) error { return nil }

// permit denies a caller a token that has more authority than the caller holds. It is called on the
// object as it is written, not before: otherwise an object whose grants were raised meanwhile would
// be delivered to a caller that was checked against the earlier grants.
func permit(by desk.Caller, a grant.Authority) error {
	over, within := a.Within(by.Holds)
	if within || by.Escalates {
		return nil
	}
	denied := &desk.Denied{Field: string(over), Permission: desk.PermissionEscalate}
	switch over {
	case grant.PartRoles:
		denied.Message = "go beyond what the caller holds, which lacks " + few(slices.DeleteFunc(slices.Clone(a.Roles), func(role string) bool { return slices.Contains(by.Holds.Roles, role) }))
	case grant.PartPermissions:
		denied.Message = "go beyond what the caller holds, which lacks " + few(slices.DeleteFunc(slices.Clone(a.Permissions), func(p string) bool { return grant.Covers(by.Holds.Permissions, p) }))
	case grant.PartRanges:
		denied.Message = "go beyond the addresses that the caller's own credential is bound to"
	case grant.PartEnd:
		denied.Message = "goes beyond the end of the caller's own token, " + by.Holds.End.UTC().Format(time.RFC3339)
	}
	denied.Message += "; call with a credential that holds all that the token may do, or holds " + desk.PermissionEscalate
	return denied
}

// permitChange permits a change that lowers the authority of a token. It permits any other change
// if the caller holds all that the token may do afterwards. A suspended token has no authority, so
// activating it lowers nothing.
func (d *Desk) permitChange(ctx context.Context, by desk.Caller, at *v1alpha1.ApplicationToken, activates bool, before, after wish) error {
	if by.Escalates {
		return nil
	}
	end := d.endOf(after)
	if named := deliveredRecord(at); !end.IsZero() && named != "" {
		rec, err := d.Records.Confirm(ctx, named)
		switch {
		case err == nil:
			end = rec.ExpiresAt
		case !errors.Is(err, record.ErrGone):
			return unavailable(err)
		}
	}
	if _, lower := authorityOf(after, end).Within(authorityOf(before, end)); lower && !activates {
		return nil
	}
	return permit(by, authorityOf(after, end))
}
