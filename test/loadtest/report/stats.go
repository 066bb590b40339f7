package report

import (
	"slices"
	"time"
)

// Percentile returns the smallest value that p percent of the list do not exceed.
func Percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return list[max(0, (len(list)*p+99)/100-1)]
}

// Microseconds returns d in microseconds.
func Microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// Median returns the median of a list. If the list has an even length, it returns the upper of the
// two in the middle.
func Median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// Milliseconds returns d in milliseconds.
func Milliseconds(d time.Duration) float64 { return Microseconds(d) / 1000 }
