package plan_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

const day = 24 * time.Hour

// noon is when the current version of the base fixture was issued. It is a Monday.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// scene holds the arguments of a planner, except for the instant.
type scene struct {
	want plan.Desired
	have plan.Observed
}

// twist is the difference between a case and the base fixture.
type twist func(*scene)

func grants() plan.Grants {
	return plan.Grants{Client: "acme", Roles: []string{"primary"}, SourceRanges: []string{"10.0.0.0/8"}}
}

// base returns a token at rest: issued at noon, valid for 90 days, rotated every 30 days, without
// predecessors.
func base(twists ...twist) scene {
	g := grants()
	s := scene{
		want: plan.Desired{
			Grants:   &g,
			Lifetime: 90 * day,
			Every:    30 * day,
			Trigger:  "1",
			Retire:   plan.Retire{When: plan.Unused, Min: 10 * time.Minute, Quiet: time.Hour, Max: day},
		},
		have: plan.Observed{
			Secret: plan.SecretIntact,
			Current: &plan.Version{
				Record: "at-2", Number: 2, Trigger: "1", Predecessor: "at-1", Grants: grants(),
				IssuedAt: noon, ExpiresAt: noon.Add(90 * day),
			},
		},
	}
	for _, tw := range twists {
		if tw != nil {
			tw(&s)
		}
	}
	return s
}

// version returns an older version that was issued at age before noon and is not superseded.
func version(number int64, age time.Duration) plan.Version {
	return plan.Version{
		Record: fmt.Sprintf("at-%d", number), Number: number, Trigger: "1", Grants: grants(),
		IssuedAt: noon.Add(-age), ExpiresAt: noon.Add(90*day - age),
	}
}

// predecessor returns an older version that was superseded at since before noon under the base
// rule.
func predecessor(number int64, since time.Duration) plan.Version {
	v := version(number, 30*day)
	v.SupersededAt = noon.Add(-since)
	v.ExpiresAt = v.SupersededAt.Add(day)
	return v
}

// aged adds the predecessor of the current version, superseded at noon and never used.
func aged(s *scene) { s.have.Others = append(s.have.Others, predecessor(1, 0)) }

// used sets when the predecessor of aged was last used.
func used(at time.Time) twist {
	return func(s *scene) { s.have.Others[0].LastUsedAt, s.have.Others[0].LastUsedFrom = at, "10.1.2.3" }
}

// moved marks the current version as used, from the same address as used.
func moved(s *scene) { s.have.Current.LastUsedAt, s.have.Current.LastUsedFrom = noon, "10.1.2.3" }

// lost removes the current version from the Secret. Its record remains among the others.
func lost(found plan.Secret) twist {
	return func(s *scene) {
		s.have.Secret = found
		s.have.Others = append([]plan.Version{*s.have.Current}, s.have.Others...)
		s.have.Current = nil
	}
}

// disowned deletes the record of the current version.
func disowned(s *scene) { s.have.Secret, s.have.Current = plan.SecretUnvouched, nil }

func refusal(s *scene) {
	s.want.Refused = plan.Refusal{Reason: "ClientMissing", Message: "create the Client acme"}
}

func state(st plan.State) twist { return func(s *scene) { s.want.State = st } }

// byHand turns off scheduled rotation.
func byHand(s *scene) { s.want.Every = 0 }

func both(a, b twist) twist { return func(s *scene) { a(s); b(s) } }

// of returns the version that an expected plan is about.
func of(record string) plan.Version { return plan.Version{Record: record} }

// check compares everything but the message. It compares the version by its record, and requires
// that the rest of the version is as observed.
func check(t *testing.T, now time.Time, s scene, want plan.Plan) {
	t.Helper()
	got := plan.ForToken(now, s.want, s.have)
	if say(got) != say(want) {
		t.Errorf("at %s\n got %s\nwant %s", when(now), say(got), say(want))
	}
	if got.Version.Record != "" && !seen(s.have, got.Version) {
		t.Errorf("at %s: %+v is not what was seen", when(now), got.Version)
	}
	if again := plan.ForToken(now, s.want, s.have); !reflect.DeepEqual(got, again) {
		t.Errorf("at %s: asked twice, got %s and %s", when(now), say(got), say(again))
	}
}

func seen(have plan.Observed, v plan.Version) bool {
	if have.Current != nil && reflect.DeepEqual(*have.Current, v) {
		return true
	}
	for _, o := range have.Others {
		if reflect.DeepEqual(o, v) {
			return true
		}
	}
	return false
}

var verbs = map[plan.Action]string{
	plan.Nothing: "Nothing", plan.Issue: "Issue", plan.Supersede: "Supersede", plan.Change: "Change",
	plan.Replace: "Replace", plan.RetireOne: "RetireOne", plan.RetireAll: "RetireAll", plan.Render: "Render",
}

// say formats a plan, with instants relative to noon.
func say(p plan.Plan) string {
	return fmt.Sprintf("%s: %s of %q, superseded %s, expires %s, wake %s",
		verbs[p.Do], p.Why, p.Version.Record, when(p.SupersededAt), when(p.ExpiresAt), when(p.Wake))
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return "noon+" + t.Sub(noon).String()
}

// calendar names the multiples of a duration since the zero time.
type calendar time.Duration

func (c calendar) Next(after time.Time) time.Time {
	return after.Truncate(time.Duration(c)).Add(time.Duration(c))
}

// once is a calendar with one instant.
type once struct{ at time.Time }

func (o once) Next(after time.Time) time.Time {
	if o.at.After(after) {
		return o.at
	}
	return time.Time{}
}
