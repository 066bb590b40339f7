package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// minutes is a calendar that names the given minutes of each hour.
type minutes []int

func (m minutes) Next(after time.Time) time.Time {
	for at := after.Truncate(time.Minute).Add(time.Minute); ; at = at.Add(time.Minute) {
		for _, minute := range m {
			if at.Minute() == minute {
				return at
			}
		}
	}
}

func TestShortestInterval_ReturnsDensestCause(t *testing.T) {
	retire := plan.Retire{Max: 24 * time.Hour}
	for name, c := range map[string]struct {
		spec plan.Desired
		want time.Duration
	}{
		"no rotation":                          {plan.Desired{}, 0},
		"a lifetime without rotation":          {plan.Desired{Lifetime: time.Second}, 0},
		"an interval":                          {plan.Desired{Every: time.Second}, time.Second},
		"every minute":                         {plan.Desired{Schedule: minutes{0, 1, 2, 3, 4, 5}}, time.Minute},
		"two neighbours in an hour":            {plan.Desired{Schedule: minutes{3, 4}}, time.Minute},
		"the end of an hour and the next":      {plan.Desired{Schedule: minutes{0, 58}}, 2 * time.Minute},
		"once an hour":                         {plan.Desired{Schedule: minutes{7}}, time.Hour},
		"a lifetime shorter than the interval": {plan.Desired{Every: time.Hour, Lifetime: 3 * time.Minute}, 2 * time.Minute},
		"a lifetime that overlap shortens":     {plan.Desired{Every: 720 * time.Hour, Lifetime: 90 * time.Hour}, 66 * time.Hour},
		"a lifetime that never comes to bear":  {plan.Desired{Every: time.Hour, Lifetime: 9 * time.Hour}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.Retire = retire
			if got := plan.ShortestInterval(c.spec, noon); got != c.want {
				t.Errorf("the shortest interval is %s, want %s", got, c.want)
			}
		})
	}
}

func TestNextRotation_NeverSoonerThanMinInterval(t *testing.T) {
	current := plan.Version{IssuedAt: noon}
	for name, c := range map[string]struct {
		spec plan.Desired
		want time.Time
	}{
		"an interval below it":               {plan.Desired{Every: time.Second}, noon.Add(10 * time.Minute)},
		"an interval above it":               {plan.Desired{Every: time.Hour}, noon.Add(time.Hour)},
		"a calendar that is denser":          {plan.Desired{Schedule: minutes{1, 2, 3, 4, 9, 11, 12}}, noon.Add(9 * time.Minute)},
		"a calendar of just that":            {plan.Desired{Schedule: minutes{0, 10, 20, 30, 40, 50}}, noon.Add(10 * time.Minute)},
		"a calendar whose next comes later":  {plan.Desired{Schedule: minutes{45}}, noon.Add(45 * time.Minute)},
		"a calendar with a single near turn": {plan.Desired{Schedule: minutes{1}}, noon.Add(61 * time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.MinInterval = 10 * time.Minute
			if got, _ := plan.NextRotation(c.spec, current); !got.Equal(c.want) {
				t.Errorf("the next rotation is at %s, want %s", got.Format(time.TimeOnly), c.want.Format(time.TimeOnly))
			}
		})
	}
}
