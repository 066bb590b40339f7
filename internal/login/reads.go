package login

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/apptoken/operator/internal/login/password"
)

// reads limits how often the API server is asked: in total, and for each source, so that no source
// uses up the reads of the others.
type reads struct {
	total    *rate.Limiter
	bySource *password.Limits
}

func newReads() *reads {
	return &reads{
		total:    rate.NewLimiter(sureReads, sureReads),
		bySource: password.NewLimits(password.LimitOptions{Burst: readBurst, Every: readEvery, Keys: mostKeys}),
	}
}

// take takes a read for a source. It returns *Limited if the source has none left, and
// ErrUnavailable if no reads are left at all.
func (r *reads) take(now time.Time, source netip.Addr) error {
	if after, ok := r.bySource.Allowed(now, address(source)); !ok {
		return &Limited{after}
	}
	if !r.total.AllowN(now, 1) {
		return unavailable(errors.New("too many refresh tokens are presented that this replica does not know"))
	}
	r.bySource.Spend(now, address(source))
	return nil
}
