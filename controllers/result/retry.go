package result

import "time"

// Bounds of the delay before the operator retries what the cluster rejects without announcing a
// change: a Secret that a quota or a policy rejects, or a restart target that is missing. The delay
// doubles with each failure, so that a tenant with thousands of such tokens costs little.
const (
	minRetryDelay = time.Minute
	maxRetryDelay = 32 * time.Minute // the sixth delay
)

// RetryDelay returns the delay after that many failures in a row, counted from 1.
func RetryDelay(failures int) time.Duration {
	delay := minRetryDelay
	for ; failures > 1 && delay < maxRetryDelay; failures-- {
		delay *= 2
	}
	return min(delay, maxRetryDelay)
}
