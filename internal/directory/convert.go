package directory

import (
	"time"

	"k8s.io/utils/ptr"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/tokenspec"
)

// UserOwner returns the owner by which the records of a user's logins are found.
func UserOwner(u *v1alpha1.User) record.Owner {
	return record.Owner{Kind: login.OwnerKindUser, Name: u.Name, UID: string(u.UID)}
}

// UsernameOf returns the name by which a user logs in, normalized.
func UsernameOf(u *v1alpha1.User) string {
	if u.Spec.Username != "" {
		return login.NormalizeUsername(u.Spec.Username)
	}
	return u.Name
}

// Defaults of spec.logins.
const (
	defaultLoginLifetime      = time.Hour
	defaultRememberMeLifetime = 14 * 24 * time.Hour
	defaultRefreshLifetime    = 30 * 24 * time.Hour
	defaultIdleTimeout        = 30 * time.Minute
	defaultMaxSessions        = 20
	defaultMaxSessionTokens   = 1000 // programs hold one for each web session of their own users
	defaultMaxOpenTokens      = 20
	defaultMaxOpenLifetime    = 24 * time.Hour // unless open tokens without an end are allowed
	defaultMaxSessionLifetime = 720 * time.Hour
)

// LoginPolicyOf returns what a Client sets for logins.
func LoginPolicyOf(c *v1alpha1.Client) login.Client {
	l := c.Spec.Logins
	out := login.Client{
		Name: c.Name, CreatedAt: c.CreationTimestamp.Time, HoldsAccountID: HeldAccountID(c) != nil,
		Suspended:          c.Spec.State == v1alpha1.StateSuspended || !c.DeletionTimestamp.IsZero(),
		LoginLifetime:      tokenspec.DurationOr(l.Lifetime, defaultLoginLifetime),
		RememberedLifetime: tokenspec.DurationOr(l.RememberMeLifetime, defaultRememberMeLifetime),
		RefreshLifetime:    tokenspec.DurationOr(l.RefreshLifetime, defaultRefreshLifetime),
		IdleTimeout:        tokenspec.DurationOr(l.IdleTimeout, defaultIdleTimeout),
		Limits: login.Limits{
			MaxSessions:      int(ptr.Deref(l.MaxSessionsPerUser, defaultMaxSessions)),
			MaxSessionTokens: int(ptr.Deref(l.MaxSessionTokensPerUser, defaultMaxSessionTokens)),
			MaxOpenTokens:    int(ptr.Deref(l.MaxOpenTokensPerUser, defaultMaxOpenTokens)),
		},
		MaxSessionLifetime: tokenspec.DurationOr(l.MaxSessionLifetime, defaultMaxSessionLifetime),
		MaxOpenLifetime:    tokenspec.DurationOr(l.MaxOpenLifetime, defaultMaxOpenLifetime),
		OpenPolicy:         map[v1alpha1.OpenTokens]login.OpenTokenPolicy{v1alpha1.OpenTokensAllow: login.OpenAllowed, v1alpha1.OpenTokensForbid: login.OpenForbidden}[l.OpenTokens],
	}
	if l.MaxOpenLifetime == "" && out.OpenPolicy == login.OpenAllowed {
		out.MaxOpenLifetime = 0
	}
	if c.Spec.AccountID != nil {
		out.AccountID = *c.Spec.AccountID
	}
	return out
}

// LoginLimitsOf returns how many logins a User sets for itself; 0 where it sets none.
func LoginLimitsOf(u *v1alpha1.User) login.Limits {
	l := u.Spec.Logins
	return login.Limits{
		MaxSessions: int(ptr.Deref(l.MaxSessions, 0)), MaxSessionTokens: int(ptr.Deref(l.MaxSessionTokens, 0)), MaxOpenTokens: int(ptr.Deref(l.MaxOpenTokens, 0)),
	}
}
