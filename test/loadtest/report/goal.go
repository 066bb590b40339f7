package report

// Goal is a condition that a number should meet.
type Goal struct {
	text string
	met  func(float64) bool
}

func AtLeast(v float64) *Goal {
	return &Goal{"≥ " + formatNumber(v), func(x float64) bool { return x >= v }}
}

func AtMost(v float64) *Goal {
	return &Goal{"≤ " + formatNumber(v), func(x float64) bool { return x <= v }}
}

func Below(v float64) *Goal {
	return &Goal{"< " + formatNumber(v), func(x float64) bool { return x < v }}
}
