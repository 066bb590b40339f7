package plan_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// deadline is an instant at which the plan changes. One instant before, the plan is Nothing for the
// reason before, UpToDate by default, and wakes exactly at that instant. From that instant on, the
// plan is the result of then.
type deadline struct {
	at     time.Time
	twist  twist
	before plan.Why
	then   func(now time.Time) plan.Plan
}

// checkDeadlines checks the plan one instant before each deadline, at it, and one instant after it.
func checkDeadlines(t *testing.T, cases map[string]deadline) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.before == "" {
				c.before = plan.UpToDate
			}
			s := base(c.twist)
			checkForToken(t, c.at.Add(-1), s, plan.Plan{Why: c.before, Wake: c.at})
			checkForToken(t, c.at, s, c.then(c.at))
			checkForToken(t, c.at.Add(1), s, c.then(c.at.Add(1)))
		})
	}
}

// clone returns a function that returns the plan for a successor of the current version.
func clone(why plan.Why, lifetime time.Duration) func(time.Time) plan.Plan {
	return func(now time.Time) plan.Plan {
		p := plan.Plan{Do: plan.Issue, Why: why, Version: versionNamed("at-2")}
		if lifetime > 0 {
			p.ExpiresAt = now.Add(lifetime)
		}
		return p
	}
}

// rotate sets the interval, the calendar and the spread of the spec.
func rotate(every time.Duration, on plan.Schedule, spread float64) twist {
	return func(s *fixture) { s.want.Every, s.want.Schedule, s.want.Spread = every, on, spread }
}

// live sets the lifetime of the spec and of the current version; 0 means without end.
func live(d time.Duration) twist {
	return func(s *fixture) {
		s.want.Lifetime, s.have.Current.ExpiresAt = d, time.Time{}
		if d > 0 {
			s.have.Current.ExpiresAt = noon.Add(d)
		}
	}
}

func TestRotate_Deadlines(t *testing.T) {
	due := clone(plan.RotationDue, 90*day)
	near := func(life time.Duration) func(time.Time) plan.Plan { return clone(plan.ExpiryNear, life) }
	checkDeadlines(t, map[string]deadline{
		"every counts from the issue":                          {at: noon.Add(30 * day), then: due},
		"every without a lifetime":                             {at: noon.Add(30 * day), twist: live(0), then: clone(plan.RotationDue, 0)},
		"spread over a minute at most":                         {at: noon.Add(30*day + 30*time.Second), twist: rotate(30*day, nil, .5), then: due},
		"spread in whole seconds":                              {at: noon.Add(30*day + 59*time.Second), twist: rotate(30*day, nil, .999), then: due},
		"spread over a tenth of a short interval":              {at: noon.Add(3*time.Minute + 9*time.Second), twist: rotate(3*time.Minute, nil, .5), then: due},
		"spread in parts of a second over a very short one":    {at: noon.Add(2*time.Second + 50*time.Millisecond), twist: rotate(2*time.Second, nil, .25), then: due},
		"the calendar counts from the issue":                   {at: noon.Add(12 * time.Hour), twist: rotate(0, calendar(day), 0), then: due},
		"an issue at the calendar's instant is not due":        {at: noon.Add(12 * time.Hour), twist: rotate(0, calendar(12*time.Hour), 0), then: due},
		"the calendar is spread over a minute":                 {at: noon.Add(12*time.Hour + 45*time.Second), twist: rotate(0, calendar(day), .75), then: due},
		"the sooner of both, the interval":                     {at: noon.Add(time.Hour), twist: rotate(time.Hour, calendar(day), 0), then: due},
		"the sooner of both, the calendar":                     {at: noon.Add(12 * time.Hour), twist: rotate(13*time.Hour, calendar(day), 0), then: due},
		"a calendar that is over leaves the interval":          {at: noon.Add(time.Hour), twist: rotate(time.Hour, singleInstant{noon}, 0), then: due},
		"a late calendar leaves the expiry, an overlap before": {at: noon.Add(89 * day), twist: rotate(0, singleInstant{noon.Add(900 * day)}, 0), then: near(90 * day)},
		"a calendar that is over leaves the expiry":            {at: noon.Add(89 * day), twist: rotate(0, singleInstant{noon}, 0), then: near(90 * day)},
		"a long interval leaves the expiry":                    {at: noon.Add(89 * day), twist: rotate(100*day, nil, 0), then: near(90 * day)},
		"a short life rotates in its last third":               {at: noon.Add(40 * time.Minute), twist: live(time.Hour), then: near(time.Hour)},
		"three overlaps of life are no short life":             {at: noon.Add(2 * day), twist: live(3 * day), then: near(3 * day)},
		"without overlap the expiry itself":                    {at: longLife, twist: combined(rotate(100*day, nil, 0), func(s *fixture) { s.want.Retire.Max = 0 }), then: near(90 * day)},
		"due and near at one instant, it is due":               {at: noon.Add(89 * day), twist: rotate(89*day, nil, 0), then: due},
		"due one instant sooner, it is due":                    {at: noon.Add(89*day - 1), twist: rotate(89*day-1, nil, 0), then: due},
		"near one instant sooner, it is near":                  {at: noon.Add(89 * day), twist: rotate(89*day+1, nil, 0), then: near(90 * day)},
		"a predecessor after its minOverlap does not hold it up": {
			at: noon.Add(15 * time.Minute), twist: combined(withPredecessor, rotate(15*time.Minute, nil, 0)), then: due,
		},
		"an expiry that is near does not wait for minOverlap": {
			at: noon.Add(6 * time.Minute), twist: combined(combined(withPredecessor, live(9*time.Minute)), rotate(time.Hour, nil, 0)), then: near(9 * time.Minute),
		},
		"a clone without room waits from when it is due": {
			at: noon.Add(5 * time.Minute),
			twist: combined(rotate(5*time.Minute, nil, 0), func(s *fixture) {
				oldest := predecessor(-1, 6*time.Minute) // past its minOverlap, and in use
				oldest.LastUsedAt = noon
				s.have.Others = []plan.Version{predecessor(1, 0), predecessor(0, 0), oldest}
			}),
			then: func(time.Time) plan.Plan {
				return plan.Plan{Why: plan.RotationPending, Wake: noon.Add(time.Hour)}
			},
		},
	})
}

func TestExpiry_Deadlines(t *testing.T) {
	over := func(time.Time) plan.Plan { return plan.Plan{Why: plan.IsExpired} }
	checkDeadlines(t, map[string]deadline{
		"it expires at its last instant": {at: longLife, twist: withoutSchedule, then: over},
		"one notice before": {at: noon.Add(83 * day), twist: withoutSchedule, then: func(time.Time) plan.Plan {
			return plan.Plan{Why: plan.UpToDate, Wake: longLife}
		}},
		"the last third of a short life": {at: noon.Add(2 * day), twist: combined(withoutSchedule, live(3*day)), then: func(time.Time) plan.Plan {
			return plan.Plan{Why: plan.UpToDate, Wake: noon.Add(3 * day)}
		}},
		"expired, it still wakes for a predecessor": {
			at: noon.Add(time.Hour), before: plan.IsExpired,
			twist: combined(combined(combined(withPredecessor, successorUsed), withoutSchedule), func(s *fixture) { s.have.Current.ExpiresAt = noon.Add(time.Minute) }),
			then:  func(time.Time) plan.Plan { return gone(plan.PredecessorUnused) },
		},
	})
}

func TestNextRotation_FollowsIntervalCalendarAndExpiry(t *testing.T) {
	for name, c := range map[string]struct {
		twist twist
		at    time.Time
		why   plan.Why
	}{
		"by interval":          {nil, noon.Add(30 * day), plan.RotationDue},
		"by expiry":            {rotate(100*day, nil, 0), noon.Add(89 * day), plan.ExpiryNear},
		"only by hand":         {withoutSchedule, time.Time{}, ""},
		"a negative interval":  {rotate(-time.Hour, nil, 0), time.Time{}, ""},
		"beside it a calendar": {rotate(-time.Hour, calendar(day), 0), noon.Add(12 * time.Hour), plan.RotationDue},
	} {
		s := base(c.twist)
		if at, why := plan.NextRotation(s.want, *s.have.Current); !at.Equal(c.at) || why != c.why {
			t.Errorf("%s: %s, %q", name, formatTime(at), why)
		}
	}
	s := base(rotate(0, singleInstant{noon}, 0), live(0))
	if at, _ := plan.NextRotation(s.want, *s.have.Current); !at.IsZero() {
		t.Errorf("a calendar that is over, without a lifetime: %s", formatTime(at))
	}
}

func TestExpiryNotice_LastThirdAtMostAWeek(t *testing.T) {
	for name, c := range map[string]struct {
		twist twist
		at    time.Time
	}{
		"a week before a long life ends":            {withoutSchedule, noon.Add(83 * day)},
		"the last third of a short one":             {combined(withoutSchedule, live(3*time.Hour)), noon.Add(2 * time.Hour)},
		"three weeks are no short life":             {combined(withoutSchedule, live(21*day)), noon.Add(14 * day)},
		"what does not expire needs none":           {combined(withoutSchedule, live(0)), time.Time{}},
		"what rotates by interval needs none":       {nil, time.Time{}},
		"what rotates by the calendar needs none":   {rotate(0, calendar(day), 0), time.Time{}},
		"what rotates before it expires needs none": {rotate(100*day, nil, 0), time.Time{}},
	} {
		s := base(c.twist)
		if at := plan.ExpiryNotice(s.want, *s.have.Current); !at.Equal(c.at) {
			t.Errorf("%s: %s", name, formatTime(at))
		}
	}
}

func TestExpiredAt_LastInstantIsExpired(t *testing.T) {
	for name, c := range map[string]struct {
		end, now time.Time
		want     bool
	}{
		"one instant before":        {noon, noon.Add(-1), false},
		"the last instant is late":  {noon, noon, true},
		"one after":                 {noon, noon.Add(1), true},
		"what has no end never is":  {time.Time{}, noon.AddDate(1000, 0, 0), false},
		"the zone is of no account": {noon.In(time.FixedZone("", -3600)), noon, true},
	} {
		if got := (plan.Version{ExpiresAt: c.end}).ExpiredAt(c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
