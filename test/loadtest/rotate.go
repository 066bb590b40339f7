package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// measureRotate rotates all tokens at once, and measures how long tokens take that are declared
// meanwhile.
func measureRotate(ctx context.Context, b *bench) error {
	s, err := b.populatedTestbed(ctx)
	if err != nil {
		return err
	}
	trigger := &rotation{by: "trigger", instant: time.Now(), ownWrites: b.tokens, begin: func() error {
		return s.patchAll(ctx, "trigger", fmt.Sprintf(`{"spec":{"rotation":{"trigger":%q}}}`, time.Now().Format(time.RFC3339Nano)))
	}}
	if err := trigger.measure(ctx, b, s); err != nil || !b.schedule {
		return err
	}
	instant := time.Now().UTC().Add(time.Minute + time.Duration(b.tokens)*12*time.Millisecond).Truncate(time.Minute).Add(time.Minute)
	b.logf("rotate: all tokens get a schedule for %s", instant.Format("15:04"))
	schedule := fmt.Sprintf("%d %d * * *", instant.Minute(), instant.Hour())
	if err := s.patchAll(ctx, "schedule", fmt.Sprintf(`{"spec":{"rotation":{"every":null,"schedule":%q}}}`, schedule)); err != nil {
		return err
	}
	if _, err := s.tokens.wait(ctx, "Ready with their schedule", b.tokens, isReady); err != nil {
		return err
	}
	if _, err := s.waitQuiet(ctx); err != nil {
		return err
	}
	bySchedule := &rotation{by: "schedule", instant: instant, begin: func() error {
		ahead := time.Until(instant)
		if ahead < 0 {
			return fmt.Errorf("schedules took %s longer to write than until their instant", -ahead)
		}
		b.logf("rotate: waiting %.0f s for the instant", ahead.Seconds())
		return sleep(ctx, ahead)
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
func (x *rotation) measure(ctx context.Context, b *bench, s *testbed) error {
	before, err := s.writes(ctx)
	if err != nil {
		return err
	}
	logged, err := s.operator.loggedErrors()
	if err != nil {
		return err
	}
	p, last, rotated, err := x.rotateAll(ctx, b, s)
	if err != nil {
		return err
	}
	after, err := s.waitQuiet(ctx)
	if err != nil {
		return err
	}
	n, declared := float64(rotated), float64(len(p.began))
	written := after.since(before)
	for _, op := range byFrequency(written.done) {
		b.logf("by %s: %d × %s", x.by, written.done[op], op)
	}
	nowLogged, err := s.operator.loggedErrors()
	if err != nil {
		return err
	}
	r := b.report.section("rotate by " + x.by)
	r.add("tokens rotated", n, "tokens")
	r.add("until all have rotated", last.Sub(x.instant).Seconds(), "s")
	r.add("writes per rotation", (float64(written.total()-x.ownWrites)-declared*b.cost)/n, "writes")
	r.add("writes refused by the API server", float64(total(written.refused)), "writes")
	r.add("errors in the operator's log", float64(nowLogged-logged), "lines")
	r.add("tokens declared meanwhile", declared, "tokens")
	r.addRatio("from declared to Ready, median, beside a bare create", percentile(p.took, 50).Seconds(), "s", percentile(p.create, 50).Seconds(), nil)
	r.addRatio("from declared to Ready, p99, beside a bare create", percentile(p.took, 99).Seconds(), "s", percentile(p.create, 99).Seconds(), nil)
	r.addGoal("from declared to Ready, p99", percentile(p.took, 99).Seconds(), "s", below(2))
	return nil
}

// rotateAll begins the rotation, and waits until all tokens have rotated. It returns the probe that
// declared tokens meanwhile, the instant of the last rotation, and how many tokens rotated.
func (x *rotation) rotateAll(ctx context.Context, b *bench, s *testbed) (p *probe, last time.Time, rotated int, err error) {
	goal := map[types.NamespacedName]int64{}
	for key, done := range s.tokens.rotations() {
		if key.Namespace != newNamespace {
			goal[key] = done + 1
		}
	}
	used := s.usage()
	if x.ownWrites > 0 {
		x.instant = time.Now()
		p = s.startProbe(ctx, x.by)
	}
	if err := x.begin(); err != nil {
		return nil, last, 0, err
	}
	if p == nil {
		p = s.startProbe(ctx, x.by)
	}
	last, err = s.tokens.wait(ctx, "rotated", len(goal), func(key types.NamespacedName, g tokenState) bool {
		return g.ready && goal[key] > 0 && g.rotations >= goal[key]
	})
	if err != nil {
		return nil, last, 0, err
	}
	b.logf("by %s: %s", x.by, s.usage().since(used))
	if err := p.end(ctx); err != nil {
		return nil, last, 0, err
	}
	b.logf("by %s: %s", x.by, p.phases(x.instant, last))
	return p, last, len(goal), nil
}
