package issuance

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

// MeasureRotate rotates all tokens at once, and measures how long tokens take that are declared
// meanwhile.
func MeasureRotate(ctx context.Context, b *scenario.Run) error {
	s, err := b.PopulatedTestbed(ctx)
	if err != nil {
		return err
	}
	trigger := &rotation{by: "trigger", instant: time.Now(), ownWrites: b.Tokens, begin: func() error {
		return s.PatchAll(ctx, "trigger", fmt.Sprintf(`{"spec":{"rotation":{"trigger":%q}}}`, time.Now().Format(time.RFC3339Nano)))
	}}
	if err := trigger.measure(ctx, b, s); err != nil || !b.Schedule {
		return err
	}
	instant := time.Now().UTC().Add(time.Minute + time.Duration(b.Tokens)*12*time.Millisecond).Truncate(time.Minute).Add(time.Minute)
	b.Logf("rotate: all tokens get a schedule for %s", instant.Format("15:04"))
	schedule := fmt.Sprintf("%d %d * * *", instant.Minute(), instant.Hour())
	if err := s.PatchAll(ctx, "schedule", fmt.Sprintf(`{"spec":{"rotation":{"every":null,"schedule":%q}}}`, schedule)); err != nil {
		return err
	}
	if _, err := s.Tracker.Wait(ctx, "Ready with their schedule", b.Tokens, testbed.IsReady); err != nil {
		return err
	}
	if _, err := s.WaitQuiet(ctx); err != nil {
		return err
	}
	bySchedule := &rotation{by: "schedule", instant: instant, begin: func() error {
		ahead := time.Until(instant)
		if ahead < 0 {
			return fmt.Errorf("schedules took %s longer to write than until their instant", -ahead)
		}
		b.Logf("rotate: waiting %.0f s for the instant", ahead.Seconds())
		return load.Sleep(ctx, ahead)
	}}
	return bySchedule.measure(ctx, b, s)
}

// rotation is one rotation of all tokens.
type rotation struct {
	by        string
	instant   time.Time // at which it begins
	ownWrites int       // writes meanwhile that the load test makes itself; if there are any, the rotation begins with them
	begin     func() error
}

// measure measures the rotation from its instant, with new tokens declared meanwhile.
func (x *rotation) measure(ctx context.Context, b *scenario.Run, s *testbed.Testbed) error {
	before, err := s.Writes(ctx)
	if err != nil {
		return err
	}
	logged, err := s.Operator.LoggedErrors()
	if err != nil {
		return err
	}
	p, last, rotated, err := x.rotateAll(ctx, b, s)
	if err != nil {
		return err
	}
	after, err := s.WaitQuiet(ctx)
	if err != nil {
		return err
	}
	n, declared := float64(rotated), float64(len(p.Began))
	written := after.Since(before)
	for _, op := range testbed.ByFrequency(written.Done) {
		b.Logf("by %s: %d × %s", x.by, written.Done[op], op)
	}
	nowLogged, err := s.Operator.LoggedErrors()
	if err != nil {
		return err
	}
	r := b.Report.Table("rotate by " + x.by)
	r.Add("tokens rotated", n, "tokens")
	r.Add("until all have rotated", last.Sub(x.instant).Seconds(), "s")
	r.Add("writes per rotation", (float64(written.Total()-x.ownWrites)-declared*b.WriteCost)/n, "writes")
	r.Add("writes refused by the API server", float64(testbed.Total(written.Refused)), "writes")
	r.Add("errors in the operator's log", float64(nowLogged-logged), "lines")
	r.Add("tokens declared meanwhile", declared, "tokens")
	r.AddRatio("from declared to Ready, median, beside a bare create", report.Percentile(p.Took, 50).Seconds(), "s", report.Percentile(p.Create, 50).Seconds(), nil)
	r.AddRatio("from declared to Ready, p99, beside a bare create", report.Percentile(p.Took, 99).Seconds(), "s", report.Percentile(p.Create, 99).Seconds(), nil)
	r.AddGoal("from declared to Ready, p99", report.Percentile(p.Took, 99).Seconds(), "s", report.Below(2))
	return nil
}

// rotateAll begins the rotation, and waits until all tokens have rotated. It returns the probe that
// declared tokens meanwhile, the instant of the last rotation, and how many tokens rotated.
func (x *rotation) rotateAll(ctx context.Context, b *scenario.Run, s *testbed.Testbed) (p *testbed.Probe, last time.Time, rotated int, err error) {
	goal := map[types.NamespacedName]int64{}
	for key, done := range s.Tracker.Rotations() {
		if key.Namespace != testbed.ProbeNamespace {
			goal[key] = done + 1
		}
	}
	used := s.Usage()
	if x.ownWrites > 0 {
		x.instant = time.Now()
		p = s.StartProbe(ctx, x.by)
	}
	if err := x.begin(); err != nil {
		return nil, last, 0, err
	}
	if p == nil {
		p = s.StartProbe(ctx, x.by)
	}
	last, err = s.Tracker.Wait(ctx, "rotated", len(goal), func(key types.NamespacedName, g testbed.TokenState) bool {
		return g.Ready && goal[key] > 0 && g.Rotations >= goal[key]
	})
	if err != nil {
		return nil, last, 0, err
	}
	b.Logf("by %s: %s", x.by, s.Usage().Since(used))
	if err := p.End(ctx); err != nil {
		return nil, last, 0, err
	}
	b.Logf("by %s: %s", x.by, p.Phases(x.instant, last))
	return p, last, len(goal), nil
}
