package report

import (
	"testing"
	"time"
)

func TestPercentile_IsMeasuredValue(t *testing.T) {
	var list []time.Duration
	for i := range 200 {
		list = append(list, time.Duration(200-i))
	}
	for p, want := range map[int]time.Duration{50: 100, 99: 198, 100: 200} {
		if got := Percentile(list, p); got != want {
			t.Errorf("p%d is %d, want %d", p, got, want)
		}
	}
	if Percentile(nil, 99) != 0 || Percentile(list[:1], 50) != 200 {
		t.Error("of none it is zero, and of one it is that one")
	}
}
