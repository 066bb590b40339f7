package controllers

import (
	"context"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/quota"
)

// Hurry is how ApplicationTokens get into the queue of those that cannot wait.
var Hurry = hurry

// SpecChanged lets events of ApplicationTokens and Users through.
var SpecChanged = specChanged

// IsReserved, IsActedOn and IsAllowed decide about keys of labels and annotations of a Secret.
var (
	IsReserved = isReserved
	IsActedOn  = isActedOn
	IsAllowed  = isAllowed
)

// ParseSchedule parses a calendar, and AsWritten takes the time zone from it.
var (
	ParseSchedule = parseSchedule
	AsWritten     = asWritten
)

// ReadPassword reads the password in a Secret.
var ReadPassword = readPassword

// RetryDelay is how long the operator waits after failures.
var RetryDelay = retryDelay

// Elect makes a Quota that of the elected replica, for clients that all have the same limits.
func Elect(q *Quota, limits quota.Limits, wake func([]quota.Key)) {
	q.elected.Store(&allocator{
		limits: func(string, []string) (quota.Limits, bool) { return limits, true },
		wake:   wake,
	})
}

// LimitsOf are the limits of a client that names no selector.
func LimitsOf(c *v1alpha1.Client, namespaces ...string) quota.Limits {
	limits, err := lookout{}.limits(context.Background(), c, namespaces...)
	if err != nil {
		panic(err)
	}
	return limits
}

// Wait returns when the next record may be deleted.
func (p *SweepPace) Wait(ctx context.Context) error { return p.wait(ctx) }
