package main

import (
	"context"
)

// measureIdle measures the operator while nothing changes: writes, processor time and memory.
func measureIdle(ctx context.Context, b *bench) error {
	s, err := b.populatedTestbed(ctx)
	if err != nil {
		return err
	}
	before, err := s.writes(ctx)
	if err != nil {
		return err
	}
	pid := s.operator.pid()
	used := cpuTime(pid)
	b.logf("idle: looking on for %s", b.idle)
	if err := sleep(ctx, b.idle); err != nil {
		return err
	}
	spent := cpuTime(pid) - used
	after, err := s.writes(ctx)
	if err != nil {
		return err
	}
	written := after.since(before)
	for _, op := range byFrequency(written.done) {
		b.logf("idle: %d × %s", written.done[op], op)
	}
	now, most := residentMemory(pid)
	r := b.report.section("idle")
	r.add("tokens", float64(b.tokens), "tokens")
	r.add("time", b.idle.Seconds(), "s")
	r.addGoal("writes meanwhile", float64(written.total()+total(written.refused)), "writes", atMost(0))
	r.add("processor time meanwhile", spent.Seconds(), "s")
	r.add("processor", 100*spent.Seconds()/b.idle.Seconds(), "% of a core")
	r.add("memory of the operator", now, "MiB")
	r.add("memory of the operator at most", most, "MiB")
	return nil
}
