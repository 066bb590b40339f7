package scenario

import (
	"time"
)

// Options holds the sizes of a run. The goals are for the default sizes.
type Options struct {
	Manager   string // path of the operator's program; empty: built from this source
	Tokens    int
	Clients   int
	MaxCount  int
	Idle      time.Duration
	Probe     time.Duration
	Hostile   int
	Schedule  bool
	Records   int
	Index     []int
	Endpoints []int
	Turn      time.Duration
	Turns     int
	Rounds    int
	Replicas  int
	Takeovers int

	LoginTurn time.Duration
	Holders   int
	Parallel  int
	Sessions  int
}
