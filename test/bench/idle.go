package main

import "context"

// measureIdle measures the operator while nothing changes: writes, processor time and memory.
func measureIdle(ctx context.Context, b *bench) error {
	s, err := b.populated(ctx)
	if err != nil {
		return err
	}
	before, err := s.writes(ctx)
	if err != nil {
		return err
	}
	pid := s.operator.command.Process.Pid
	used := cpu(pid)
	b.say("idle: looking on for %s", b.idle)
	if err := pause(ctx, b.idle); err != nil {
		return err
	}
	spent := cpu(pid) - used
	after, err := s.writes(ctx)
	if err != nil {
		return err
	}
	written := after.since(before)
	for _, op := range sorted(written.done) {
		b.say("idle: %d × %s", written.done[op], op)
	}
	now, most := resident(pid)
	r := b.report.in("idle")
	r.add("tokens", float64(b.tokens), "tokens")
	r.add("time", b.idle.Seconds(), "s")
	r.goal("writes meanwhile", float64(written.total()+total(written.refused)), "writes", atMost(0))
	r.add("processor time meanwhile", spent.Seconds(), "s")
	r.add("processor", 100*spent.Seconds()/b.idle.Seconds(), "% of a core")
	r.add("memory of the operator", now, "MiB")
	r.add("memory of the operator at most", most, "MiB")
	return nil
}
