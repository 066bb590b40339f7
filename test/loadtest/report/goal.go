package report

// Goal is a condition that a number should meet.
type Goal struct {
	text string
	met  func(float64) bool
}

// AtLeast returns the goal of a number that is v or more.
func AtLeast(v float64) *Goal {
	return &Goal{"≥ " + formatNumber(v), func(x float64) bool { return x >= v }}
}

// AtMost returns the goal of a number that is v or less.
func AtMost(v float64) *Goal {
	return &Goal{"≤ " + formatNumber(v), func(x float64) bool { return x <= v }}
}

// Below returns the goal of a number that is less than v.
func Below(v float64) *Goal {
	return &Goal{"< " + formatNumber(v), func(x float64) bool { return x < v }}
}
