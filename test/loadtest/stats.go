package main

import (
	"slices"
	"time"
)

// percentile returns the smallest value that p percent of the list do not exceed.
func percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return list[max(0, (len(list)*p+99)/100-1)]
}
