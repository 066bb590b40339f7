package applicationtoken_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/tokenspec"
)

func TestSchedule_IntervalIgnoresClockShifts(t *testing.T) {
	january := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		text, zone      string
		shifted, wanted time.Duration
	}{
		"an hour is missing":      {"30 2,3 * * 0", "Europe/Zurich", 30 * time.Minute, time.Hour},
		"half an hour is missing": {"15 1,2 6 10 *", "Australia/Lord_Howe", 45 * time.Minute, time.Hour},
		"no clock is set":         {"30 2,3 * * 0", "", time.Hour, time.Hour},
	} {
		calendar, err := tokenspec.ParseSchedule(c.text, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		d := plan.Desired{Schedule: calendar}
		if got := plan.ShortestInterval(d, january); got != c.shifted {
			t.Errorf("%s: on the clock it is %s, want %s", name, got, c.shifted)
		}
		if got := plan.ShortestInterval(tokenspec.WithoutTimeZone(d), january); got != c.wanted {
			t.Errorf("%s: it is %s, want %s", name, got, c.wanted)
		}
	}
}
