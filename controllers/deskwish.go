package controllers

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
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/plan"
)

// Limits of the fields of an ApplicationToken.
const (
	mostRoles       = 64
	mostPermissions = 128
	longestName     = 128 // of a permission
	mostRanges      = 32
	longestLife     = 999_999 * time.Hour
)

// checkLists refuses lists that no ApplicationToken could hold. The error does not repeat the
// invalid entry: it may be a secret in the wrong place.
func checkLists(roles, permissions, ranges []string) error {
	for _, l := range []struct {
		field string
		list  []string
		most  int
		valid func(string) bool
		words string
	}{
		{"roles", roles, mostRoles, grant.ValidRoleName, "letters, digits, ., _, ~ and -, at most 63"},
		{"permissions", permissions, mostPermissions, func(p string) bool { return len(p) <= longestName && grant.ValidPermission(p) }, "dotted segments such as search.query or search.*, at most 128 characters"},
		{"sourceRanges", ranges, mostRanges, func(r string) bool {
			p, err := netip.ParsePrefix(r)
			return err == nil && p.Masked() == p && p.String() == r
		}, "address ranges such as 10.0.0.0/8 or fd00::/8"},
	} {
		if len(l.list) > l.most {
			return refused(l.field, "has %d entries; at most %d are allowed", len(l.list), l.most)
		}
		for i, v := range l.list {
			if !l.valid(v) {
				return refused(l.field, "entry %d is invalid: use %s", i+1, l.words)
			}
			if slices.Contains(l.list[:i], v) {
				return refused(l.field, "entry %d is repeated; remove it", i+1)
			}
		}
	}
	return nil
}

// checkLifetime refuses an invalid lifetime. No invalid value becomes a token without an end.
func checkLifetime(l time.Duration) error {
	switch {
	case l < 0:
		return refused("lifetime", "is negative; leave it out for a token that does not expire")
	case l%time.Second != 0:
		return refused("lifetime", "must be whole seconds")
	case l > longestLife:
		return refused("lifetime", "must be at most %d hours", longestLife/time.Hour)
	}
	return nil
}

// spelled formats a duration as a spec does; empty: it is zero.
func spelled(d time.Duration) v1alpha1.PositiveDuration {
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

// draft returns the object of a token that is to be created.
func (d *Desk) draft(ctx context.Context, s desk.Scope, w desk.Wanted) (*v1alpha1.ApplicationToken, error) {
	if !givenName.MatchString(w.Name) {
		return nil, refused("name", "must be 1 to 63 letters, digits, ., _, ~ and -, the first a letter or digit")
	}
	if err := checkLists(w.Roles, w.Permissions, w.SourceRanges); err != nil {
		return nil, err
	}
	if err := checkLifetime(w.Lifetime); err != nil {
		return nil, err
	}
	at := &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: objectName(s, w.Name), Finalizers: []string{v1alpha1.FinalizerRecords},
			Annotations: map[string]string{v1alpha1.AnnotationName: w.Name},
		},
		Spec: v1alpha1.ApplicationTokenSpec{
			Delivery: v1alpha1.DeliveryResponse, State: v1alpha1.TokenActive, Lifetime: spelled(w.Lifetime),
			Roles: names[v1alpha1.RoleName](w.Roles), Permissions: names[v1alpha1.Permission](w.Permissions),
			SourceRanges: names[v1alpha1.SourceRange](w.SourceRanges),
		},
	}
	if s.User == "" {
		at.Spec.ClientRef = &v1alpha1.Reference{Name: v1alpha1.ObjectName(s.Client)}
		return at, nil
	}
	if field := ofUserAlone(w.Roles, w.Permissions); field != "" {
		return nil, refused(field, "cannot be given: a token of a user has what the user has")
	}
	at.Spec.UserRef = &v1alpha1.UserReference{Name: v1alpha1.ObjectName(s.User), Client: s.Client}
	user, a, err := d.lookout().ofUser(ctx, at, true)
	if err != nil {
		return nil, unavailable(err)
	}
	at.Spec.UserRef.Client = a.client
	if user != nil {
		at.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: login.OwnerKind, Name: user.Name, UID: user.UID,
		}}
	}
	return at, nil
}

func ofUserAlone(roles, permissions []string) string {
	switch {
	case len(roles) > 0:
		return "roles"
	case len(permissions) > 0:
		return "permissions"
	default:
		return ""
	}
}

// understand builds the desired state of a token and resolves its references. If anew is set, it
// reserves quota for the token, until the token is observed or the reservation is withdrawn.
func (d *Desk) understand(ctx context.Context, at *v1alpha1.ApplicationToken, anew bool) (wish, surroundings, error) {
	around, err := d.lookout().around(ctx, at)
	switch {
	case err != nil:
	case anew && around.client != nil:
		around.quota, err = d.promise(ctx, at, around)
	default:
		around.quota = withheldBy(at)
	}
	if err != nil {
		return wish{}, around, unavailable(err)
	}
	return understand(at, around), around, nil
}

// promise reserves quota for a token that is about to be created, or returns why there is none.
func (d *Desk) promise(ctx context.Context, at *v1alpha1.ApplicationToken, around surroundings) (*plan.Refusal, error) {
	claim := claimOf(at, d.Namespace, around.asked.client, around.asked.user)
	limits, err := d.lookout().Limits(ctx, around.client, d.Quota.index.Waiting(claim.Client)...)
	if err != nil {
		return nil, err
	}
	if verdict := d.Quota.index.Promise(quotaKey(at), claim, limits, d.Now()); !verdict.Granted {
		return overQuota(claim, verdict), nil
	}
	return nil, nil
}

// refusalFrom converts what stands in the way of a token into an error for the caller; nil: nothing
// does.
func refusalFrom(w wish, s surroundings) error {
	r := w.Refused
	switch r.Reason {
	case "":
		return nil
	case v1alpha1.ReasonTooManyTokens:
		return &desk.Refused{Message: r.Message, Full: true}
	case v1alpha1.ReasonOverCeiling:
		if s.client != nil && len(ceiling(s.client).Cut(w.asked.roles, nil).OverRoles) > 0 {
			return refused("roles", "cannot be given: %s", r.Message)
		}
		return refused("permissions", "cannot be given: %s", r.Message)
	case v1alpha1.ReasonLifetimeTooLong:
		return refused("lifetime", "is too long: %s", strings.ReplaceAll(r.Message, "spec.lifetime", "it"))
	case v1alpha1.ReasonNonExpiringForbidden:
		return refused("lifetime", "is missing: client %s requires every such token to expire", w.asked.client)
	default:
		return refused("", "%s", r.Message)
	}
}

// standing refuses a token that in its present state gets no new version.
func standing(w wish, s surroundings) error {
	switch w.State {
	case plan.Revoked:
		return refused("", "the token is revoked for good; create a new one")
	case plan.Suspended:
		return refused("", "the token is suspended; set its state to Active first")
	case plan.Active:
		fallthrough
	default:
		return refusalFrom(w, s)
	}
}

var inList = regexp.MustCompile(`\[.*$`)

// invalid returns an error for an object that the API server rejects as invalid. The message of the
// API server could repeat what it was given.
func invalid(err error) error {
	field := ""
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok && status.ErrStatus.Details != nil {
		if causes := status.ErrStatus.Details.Causes; len(causes) > 0 {
			field = inList.ReplaceAllString(strings.TrimPrefix(causes[0].Field, "spec."), "")
		}
	}
	return refused(field, "is rejected by the API server")
}
