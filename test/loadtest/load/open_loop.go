package load

import (
	"context"
	"time"
)

// OpenLoop calls do at a steady rate, whatever the calls take, until ctx ends. It returns how many
// calls it made. do gets the number of the call.
func OpenLoop(ctx context.Context, perSecond float64, do func(i int)) int {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began, n := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return n
		case now := <-tick.C:
			for due := int(now.Sub(began).Seconds() * perSecond); n < due; n++ {
				do(n)
			}
		}
	}
}
