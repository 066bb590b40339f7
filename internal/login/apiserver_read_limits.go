package login

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/apptoken/operator/internal/login/password"
)

// readLimits limits how often the API server is asked: in total, and for each source, so that no
// source uses up the reads of the others.
type readLimits struct {
	total    *rate.Limiter
	bySource *password.Limits
}

func newReadLimits() *readLimits {
	return &readLimits{
		total:    rate.NewLimiter(liveReadsPerSecond, liveReadsPerSecond),
		bySource: password.NewLimits(password.LimitOptions{Burst: sourceReadBurst, Every: sourceReadEvery, Keys: maxLimitKeys}),
	}
}

// take takes a read for a source. It returns *Limited if the source has none left, and
// ErrUnavailable if no reads are left at all.
func (r *readLimits) take(now time.Time, source netip.Addr) error {
	if after, ok := r.bySource.Allowed(now, limitKey(source)); !ok {
		return &Limited{after}
	}
	if !r.total.AllowN(now, 1) {
		return unavailableError(errors.New("too many refresh tokens are presented that this replica does not know"))
	}
	r.bySource.Spend(now, limitKey(source))
	return nil
}
