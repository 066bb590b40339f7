package apierr

import (
	"time"
)

// Refuse is the error of a pass that no retry helps until a user edits something. Reason and
// Message become the Ready condition.
type Refuse struct {
	Reason  string
	Message string
	Again   time.Duration // retry after so long, since the obstacle is not watched; 0: it is watched
}

func (r *Refuse) Error() string { return r.Reason + ": " + r.Message }
