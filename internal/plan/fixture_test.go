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

// fixture holds the arguments of a planner, except for the instant.
type fixture struct {
	want plan.Desired
	have plan.Observed
}

// twist is the difference between a case and the base fixture.
type twist func(*fixture)

func grants() plan.Grants {
	return plan.Grants{Client: "acme", Roles: []string{"primary"}, SourceRanges: []string{"10.0.0.0/8"}}
}

// base returns a token at rest: issued at noon, valid for 90 days, rotated every 30 days, without
// predecessors.
func base(twists ...twist) fixture {
	g := grants()
	s := fixture{
		want: plan.Desired{
			Grants:   &g,
			Lifetime: 90 * day,
			Every:    30 * day,
			Trigger:  "1",
			Retire:   plan.Retire{When: plan.RetireUnused, Min: 10 * time.Minute, Quiet: time.Hour, Max: day},
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

// withPredecessor adds the predecessor of the current version, superseded at noon and never used.
func withPredecessor(s *fixture) { s.have.Others = append(s.have.Others, predecessor(1, 0)) }

// used sets when the predecessor of aged was last used.
func used(at time.Time) twist {
	return func(s *fixture) { s.have.Others[0].LastUsedAt, s.have.Others[0].LastUsedFrom = at, "10.1.2.3" }
}

// successorUsed marks the current version as used, from the same address as used.
func successorUsed(s *fixture) {
	s.have.Current.LastUsedAt, s.have.Current.LastUsedFrom = noon, "10.1.2.3"
}

// removedFromSecret removes the current version from the Secret. Its record remains among the
// others.
func removedFromSecret(found plan.SecretState) twist {
	return func(s *fixture) {
		s.have.Secret = found
		s.have.Others = append([]plan.Version{*s.have.Current}, s.have.Others...)
		s.have.Current = nil
	}
}

// recordDeleted deletes the record of the current version.
func recordDeleted(s *fixture) { s.have.Secret, s.have.Current = plan.SecretRecordMissing, nil }

func refusal(s *fixture) {
	s.want.Refused = plan.Refusal{Reason: "ClientMissing", Message: "create the Client acme"}
}

func state(st plan.State) twist { return func(s *fixture) { s.want.State = st } }

// withoutSchedule turns off scheduled rotation.
func withoutSchedule(s *fixture) { s.want.Every = 0 }

func combined(a, b twist) twist { return func(s *fixture) { a(s); b(s) } }

// versionNamed returns the version that an expected plan is about.
func versionNamed(record string) plan.Version { return plan.Version{Record: record} }

// checkForToken compares everything but the message. It compares the version by its record, and
// requires that the rest of the version is as observed.
func checkForToken(t *testing.T, now time.Time, s fixture, want plan.Plan) {
	t.Helper()
	got := plan.ForToken(now, s.want, s.have)
	if formatPlan(got) != formatPlan(want) {
		t.Errorf("at %s\n got %s\nwant %s", formatTime(now), formatPlan(got), formatPlan(want))
	}
	if got.Version.Record != "" && !seen(s.have, got.Version) {
		t.Errorf("at %s: %+v is not what was seen", formatTime(now), got.Version)
	}
	if again := plan.ForToken(now, s.want, s.have); !reflect.DeepEqual(got, again) {
		t.Errorf("at %s: asked twice, got %s and %s", formatTime(now), formatPlan(got), formatPlan(again))
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

// formatPlan formats a plan, with instants relative to noon.
func formatPlan(p plan.Plan) string {
	return fmt.Sprintf("%s: %s of %q, superseded %s, expires %s, wake %s",
		verbs[p.Do], p.Why, p.Version.Record, formatTime(p.SupersededAt), formatTime(p.ExpiresAt), formatTime(p.Wake))
}

func formatTime(t time.Time) string {
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

// singleInstant is a calendar with one instant.
type singleInstant struct{ at time.Time }

func (o singleInstant) Next(after time.Time) time.Time {
	if o.at.After(after) {
		return o.at
	}
	return time.Time{}
}
