package main

import "time"

// options holds the sizes of a run. The goals are for the default sizes.
type options struct {
	manager   string // path of the operator's program; empty: built from this source
	tokens    int
	clients   int
	maxCount  int
	idle      time.Duration
	probe     time.Duration
	hostile   int
	schedule  bool
	records   int
	index     []int
	endpoints []int
	turn      time.Duration
	turns     int
	rounds    int
	replicas  int
	takeovers int

	loginTurn time.Duration
	holders   int
	parallel  int
}
