package lookuplimit_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/verify/lookuplimit"
)

var (
	noon   = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	source = netip.MustParsePrefix("192.0.2.1/32")
)

func TestLimits_OneSourceHasAQuarter(t *testing.T) {
	l := lookuplimit.New(40)
	for n := range 10 {
		if !l.HasLeft(noon, source) || !l.Take(noon, source) {
			t.Fatalf("look-up %d of 10 is refused", n+1)
		}
	}
	if l.HasLeft(noon, source) || l.Take(noon, source) {
		t.Error("an eleventh look-up is allowed")
	}
	if l.Take(noon.Add(time.Second/10-1), source) {
		t.Error("a look-up is allowed before a tenth of a second is over")
	}
	if !l.Take(noon.Add(time.Second/10), source) {
		t.Error("a look-up is refused after a tenth of a second")
	}
}

func TestLimits_WaitingRequestsAreBounded(t *testing.T) {
	l := lookuplimit.New(40)
	waiting := 0
	for waiting < 1000 && l.StartWaiting(source) {
		waiting++
	}
	if waiting != 128 {
		t.Errorf("%d requests of one source wait, want 128", waiting)
	}
	l.StopWaiting(source)
	if !l.StartWaiting(source) || l.StartWaiting(source) {
		t.Error("the end of one wait does not allow exactly one more")
	}
}
