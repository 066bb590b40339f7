package apierr

import "time"

// Refuse is the error of a pass that no retry helps until a user edits something. Reason and
// Message become the Ready condition.
type Refuse struct {
	Reason  string
	Message string
	Again   time.Duration // retry after so long, because no watch reports the end of the obstacle; 0: a watch does
}

func (r *Refuse) Error() string { return r.Reason + ": " + r.Message }
