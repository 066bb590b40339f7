package management

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Limits of the fields of an ApplicationToken.
const (
	maxRoles            = 64
	maxPermissions      = 128
	maxPermissionLength = 128
	maxSourceRanges     = 32
	maxTokenLifetime    = 999_999 * time.Hour
)

// checkLists refuses lists that no ApplicationToken could hold. The error does not repeat the
// invalid entry: it may be a secret in the wrong place.
func checkLists(roles, permissions, ranges []string) error {
	for _, l := range []struct {
		field string
		list  []string
		max   int
		valid func(string) bool
		words string
	}{
		{"roles", roles, maxRoles, grant.ValidRoleName, "letters, digits, ., _, ~ and -, at most 63"},
		{"permissions", permissions, maxPermissions, func(p string) bool { return len(p) <= maxPermissionLength && grant.ValidPermission(p) }, "dotted segments such as search.query or search.*, at most 128 characters"},
		{"sourceRanges", ranges, maxSourceRanges, func(r string) bool {
			p, err := netip.ParsePrefix(r)
			return err == nil && p.Masked() == p && p.String() == r
		}, "address ranges such as 10.0.0.0/8 or fd00::/8"},
	} {
		if len(l.list) > l.max {
			return newRefused(l.field, "has %d entries; at most %d are allowed", len(l.list), l.max)
		}
		for i, v := range l.list {
			if !l.valid(v) {
				return newRefused(l.field, "entry %d is invalid: use %s", i+1, l.words)
			}
			if slices.Contains(l.list[:i], v) {
				return newRefused(l.field, "entry %d is repeated; remove it", i+1)
			}
		}
	}
	return nil
}

// checkLifetime refuses an invalid lifetime. No invalid value becomes a token without an end.
func checkLifetime(l time.Duration) error {
	switch {
	case l < 0:
		return newRefused("lifetime", "is negative; leave it out for a token that does not expire")
	case l%time.Second != 0:
		return newRefused("lifetime", "must be whole seconds")
	case l > maxTokenLifetime:
		return newRefused("lifetime", "must be at most %d hours", maxTokenLifetime/time.Hour)
	}
	return nil
}

// formatDuration formats a duration as a spec does; empty: it is zero.
func formatDuration(d time.Duration) v1alpha1.PositiveDuration {
	var text strings.Builder
	for _, unit := range []struct {
		of     time.Duration
		letter string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / unit.of; n > 0 {
			fmt.Fprintf(&text, "%d%s", n, unit.letter)
		}
		d %= unit.of
	}
	return v1alpha1.PositiveDuration(text.String())
}

// draftToken returns the object of a token that is to be created.
func (s *Service) draftToken(ctx context.Context, scope Scope, spec TokenSpec) (*v1alpha1.ApplicationToken, error) {
	if err := CheckTokenName(spec.Name); err != nil {
		return nil, err
	}
	if err := checkLists(spec.Roles, spec.Permissions, spec.SourceRanges); err != nil {
		return nil, err
	}
	if err := checkLifetime(spec.Lifetime); err != nil {
		return nil, err
	}
	at := &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: objectName(scope, spec.Name), Finalizers: []string{v1alpha1.FinalizerRecords},
			Annotations: map[string]string{v1alpha1.AnnotationName: spec.Name},
		},
		Spec: v1alpha1.ApplicationTokenSpec{
			Delivery: v1alpha1.DeliveryResponse, State: v1alpha1.TokenActive, Lifetime: formatDuration(spec.Lifetime),
			Roles: tokenspec.TypedStrings[v1alpha1.RoleName](spec.Roles), Permissions: tokenspec.TypedStrings[v1alpha1.Permission](spec.Permissions),
			SourceRanges: tokenspec.TypedStrings[v1alpha1.SourceRange](spec.SourceRanges),
		},
	}
	if scope.User == "" {
		at.Spec.ClientRef = &v1alpha1.Reference{Name: v1alpha1.ObjectName(scope.Client)}
		return at, nil
	}
	if field := firstGrantField(spec.Roles, spec.Permissions); field != "" {
		return nil, newRefused(field, "cannot be given: a token of a user has what the user has")
	}
	at.Spec.UserRef = &v1alpha1.UserReference{Name: v1alpha1.ObjectName(scope.User), Client: scope.Client}
	user, a, err := s.resolver().ResolveUser(ctx, at, true)
	if err != nil {
		return nil, asUnavailable(err)
	}
	at.Spec.UserRef.Client = a.Client
	if user != nil {
		at.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: login.OwnerKindUser, Name: user.Name, UID: user.UID,
		}}
	}
	return at, nil
}

// firstGrantField returns the field of the first list that is not empty; empty: both lists are.
func firstGrantField(roles, permissions []string) string {
	switch {
	case len(roles) > 0:
		return "roles"
	case len(permissions) > 0:
		return "permissions"
	default:
		return ""
	}
}

// buildDesired resolves the references of a token and builds its desired state. If anew is set, it
// reserves quota for the token, until the token is observed or the reservation is withdrawn.
func (s *Service) buildDesired(ctx context.Context, at *v1alpha1.ApplicationToken, anew bool) (tokenspec.Desired, tokenspec.References, error) {
	refs, err := s.resolver().Resolve(ctx, at)
	switch {
	case err != nil:
	case anew && refs.Client != nil:
		refs.QuotaRefusal, err = s.reserveQuota(ctx, at, refs)
	default:
		refs.QuotaRefusal = tokenspec.WithheldRefusal(at)
	}
	if err != nil {
		return tokenspec.Desired{}, refs, asUnavailable(err)
	}
	return tokenspec.Build(at, refs), refs, nil
}

// buildActive returns the desired state of a token whose versions are accepted, or the error for
// the caller.
func (s *Service) buildActive(ctx context.Context, at *v1alpha1.ApplicationToken) (tokenspec.Desired, error) {
	desired, refs, err := s.buildDesired(ctx, at, false)
	if err == nil {
		err = checkActive(desired, refs)
	}
	return desired, err
}

// reserveQuota reserves quota for a token that is about to be created, or returns why there is
// none.
func (s *Service) reserveQuota(ctx context.Context, at *v1alpha1.ApplicationToken, refs tokenspec.References) (*plan.Refusal, error) {
	claim := tokenspec.QuotaClaim(at, s.Namespace, refs.Requested.Client, refs.Requested.User)
	limits, err := s.resolver().QuotaLimits(ctx, refs.Client, s.Quota.Index.Waiting(claim.Client)...)
	if err != nil {
		return nil, err
	}
	if verdict := s.Quota.Index.Promise(directory.QuotaKey(at), claim, limits, s.Now()); !verdict.Granted {
		return tokenspec.OverQuotaRefusal(claim, verdict), nil
	}
	return nil, nil
}

// errorFromRefusal converts what stands in the way of a token into an error for the caller. It
// returns nil if nothing does.
func errorFromRefusal(desired tokenspec.Desired, refs tokenspec.References) error {
	r := desired.Refused
	switch r.Reason {
	case "":
		return nil
	case v1alpha1.ReasonTooManyTokens:
		return &Refused{Message: r.Message, QuotaExceeded: true}
	case v1alpha1.ReasonOverCeiling:
		if refs.Client != nil && len(tokenspec.Ceiling(refs.Client).Cut(desired.Requested.Roles, nil).OverRoles) > 0 {
			return newRefused("roles", "cannot be given: %s", r.Message)
		}
		return newRefused("permissions", "cannot be given: %s", r.Message)
	case v1alpha1.ReasonLifetimeTooLong:
		return newRefused("lifetime", "is too long: %s", strings.ReplaceAll(r.Message, "spec.lifetime", "it"))
	case v1alpha1.ReasonNonExpiringForbidden:
		return newRefused("lifetime", "is missing: client %s requires every such token to expire", desired.Requested.Client)
	default:
		return newRefused("", "%s", r.Message)
	}
}

// checkActive refuses a token that in its present state gets no new version.
func checkActive(desired tokenspec.Desired, refs tokenspec.References) error {
	switch desired.State {
	case plan.Revoked:
		return newRefused("", "the token is revoked for good; create a new one")
	case plan.Suspended:
		return newRefused("", "the token is suspended; set its state to Active first")
	case plan.Active:
		fallthrough
	default:
		return errorFromRefusal(desired, refs)
	}
}

// listIndexPattern matches the part of a field path from the first list index on.
var listIndexPattern = regexp.MustCompile(`\[.*$`)

// invalidError returns an error for an object that the API server rejects as invalid. It leaves out
// the message of the API server, which could repeat what the caller sent.
func invalidError(err error) error {
	field := ""
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok && status.ErrStatus.Details != nil {
		if causes := status.ErrStatus.Details.Causes; len(causes) > 0 {
			field = listIndexPattern.ReplaceAllString(strings.TrimPrefix(causes[0].Field, "spec."), "")
		}
	}
	return newRefused(field, "is rejected by the API server")
}
