package management

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/tokenspec"
	"github.com/apptoken/operator/internal/verify"
)

// authorityOf returns the authority of a version that expires at end. It uses what the spec asks
// for, not what the client grants of that today: the client may grant more tomorrow.
func authorityOf(w tokenspec.Spec, end time.Time) grant.Authority {
	return grant.Authority{Roles: w.Requested.Roles, Permissions: w.Requested.Permissions, Ranges: verify.ParseRanges(w.Requested.SourceRanges), End: end}
}

// expiryOf returns when a version expires that is made now; zero: never.
func (d *Service) expiryOf(w tokenspec.Spec) time.Time {
	if w.Lifetime == 0 {
		return time.Time{}
	}
	return d.now().Add(w.Lifetime)
}

// deliveryCheck returns an error if a token of the authority must not be delivered to the caller.
type deliveryCheck func(grant.Authority) error

func deliverToCaller(by Caller) deliveryCheck {
	return func(a grant.Authority) error { return permitAuthority(by, a) }
}

// deliverToHolder is the audience of a token that rotates itself: the successor has the authority
// that the holder has already.
func deliverToHolder(grant.Authority) error { return nil }

// permitAuthority denies a caller a token that has more authority than the caller holds. It is
// called on the object as it is written, not before: otherwise an object whose grants were raised
// meanwhile would be delivered to a caller that was checked against the earlier grants.
func permitAuthority(by Caller, a grant.Authority) error {
	over, within := a.Within(by.Authority)
	if within || by.CanEscalate {
		return nil
	}
	denied := &Denied{Field: string(over), Permission: PermissionEscalate}
	switch over {
	case grant.PartRoles:
		denied.Message = "go beyond what the caller holds, which lacks " + tokenspec.JoinFirst(slices.DeleteFunc(slices.Clone(a.Roles), func(role string) bool { return slices.Contains(by.Authority.Roles, role) }))
	case grant.PartPermissions:
		denied.Message = "go beyond what the caller holds, which lacks " + tokenspec.JoinFirst(slices.DeleteFunc(slices.Clone(a.Permissions), func(p string) bool { return grant.Covers(by.Authority.Permissions, p) }))
	case grant.PartRanges:
		denied.Message = "go beyond the addresses that the caller's own credential is bound to"
	case grant.PartEnd:
		denied.Message = "goes beyond the end of the caller's own token, " + by.Authority.End.UTC().Format(time.RFC3339)
	}
	denied.Message += "; call with a credential that holds all that the token may do, or holds " + PermissionEscalate
	return denied
}

// permitChange permits a change that lowers the authority of a token. It permits any other change
// if the caller holds all that the token may do afterwards. A suspended token has no authority, so
// activating it lowers nothing.
func (d *Service) permitChange(ctx context.Context, by Caller, at *v1alpha1.ApplicationToken, activates bool, before, after tokenspec.Spec) error {
	if by.CanEscalate {
		return nil
	}
	end := d.expiryOf(after)
	if named := tokenspec.DeliveredRecord(at); !end.IsZero() && named != "" {
		rec, err := d.Records.Confirm(ctx, named)
		switch {
		case err == nil:
			end = rec.ExpiresAt
		case !errors.Is(err, record.ErrGone):
			return asUnavailable(err)
		}
	}
	if _, lower := authorityOf(after, end).Within(authorityOf(before, end)); lower && !activates {
		return nil
	}
	return permitAuthority(by, authorityOf(after, end))
}
