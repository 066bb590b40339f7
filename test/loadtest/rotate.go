package main

import (
	"context"
	"fmt"
	"slices"
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
	err = b.rotation(ctx, s, "trigger", time.Now(), b.tokens, func() error {
		return s.patchAll(ctx, "trigger", fmt.Sprintf(`{"spec":{"rotation":{"trigger":%q}}}`, time.Now().Format(time.RFC3339Nano)))
	})
	if err != nil || !b.schedule {
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
	return b.rotation(ctx, s, "schedule", instant, 0, func() error {
		ahead := time.Until(instant)
		if ahead < 0 {
			return fmt.Errorf("schedules took %s longer to write than until their instant", -ahead)
		}
		b.logf("rotate: waiting %.0f s for the instant", ahead.Seconds())
		return sleep(ctx, ahead)
	})
}

// rotation measures one rotation of all tokens, from the instant at which it begins. ownWrites is
// how many of the writes meanwhile are made by the benchmark itself. If there are any, the rotation
// begins with them.
func (b *bench) rotation(ctx context.Context, s *testbed, by string, instant time.Time, ownWrites int, begin func() error) error {
	before, err := s.writes(ctx)
	if err != nil {
		return err
	}
	goal := map[types.NamespacedName]int64{}
	s.tokens.mu.Lock()
	for key, g := range s.tokens.states {
		if key.Namespace != newNamespace {
			goal[key] = g.rotations + 1
		}
	}
	s.tokens.mu.Unlock()
	logged, err := s.operator.loggedErrors()
	if err != nil {
		return err
	}
	used := s.usage()
	var p *probe
	if ownWrites > 0 { // the rotation begins with the benchmark's own writes
		instant = time.Now()
		p = s.probe(ctx, by)
	}
	if err := begin(); err != nil {
		return err
	}
	if p == nil {
		p = s.probe(ctx, by)
	}
	last, err := s.tokens.wait(ctx, "rotated", len(goal), func(key types.NamespacedName, g tokenState) bool {
		return g.ready && goal[key] > 0 && g.rotations >= goal[key]
	})
	if err != nil {
		return err
	}
	b.logf("by %s: %s", by, s.usage().since(used))
	if err := p.end(ctx); err != nil {
		return err
	}
	b.logf("by %s: %s", by, p.phases(instant, last))
	after, err := s.waitQuiet(ctx)
	if err != nil {
		return err
	}
	n, declared := float64(len(goal)), float64(len(p.began))
	written := after.since(before)
	for _, op := range byFrequency(written.done) {
		b.logf("by %s: %d × %s", by, written.done[op], op)
	}
	nowLogged, err := s.operator.loggedErrors()
	if err != nil {
		return err
	}
	r := b.report.section("rotate by " + by)
	r.add("tokens rotated", n, "tokens")
	r.add("until all have rotated", last.Sub(instant).Seconds(), "s")
	r.add("writes per rotation", (float64(written.total()-ownWrites)-declared*b.cost)/n, "writes")
	r.add("writes refused by the API server", float64(total(written.refused)), "writes")
	r.add("errors in the operator's log", float64(nowLogged-logged), "lines")
	r.add("tokens declared meanwhile", declared, "tokens")
	r.addRatio("from declared to Ready, median, beside a bare create", percentile(p.took, 50).Seconds(), "s", percentile(p.create, 50).Seconds(), nil)
	r.addRatio("from declared to Ready, p99, beside a bare create", percentile(p.took, 99).Seconds(), "s", percentile(p.create, 99).Seconds(), nil)
	r.addGoal("from declared to Ready, p99", percentile(p.took, 99).Seconds(), "s", below(2))
	return nil
}

// percentile returns the smallest value that p percent of the list do not exceed.
func percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return list[max(0, (len(list)*p+99)/100-1)]
}
