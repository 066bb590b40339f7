package issuance

import (
	"context"

	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

// MeasureIdle measures the operator while nothing changes: writes, processor time and memory.
func MeasureIdle(ctx context.Context, b *scenario.Run) error {
	s, err := b.PopulatedTestbed(ctx)
	if err != nil {
		return err
	}
	before, err := s.Writes(ctx)
	if err != nil {
		return err
	}
	pid := s.Operator.Pid()
	used := testbed.CpuTime(pid)
	b.Logf("idle: looking on for %s", b.Idle)
	if err := load.Sleep(ctx, b.Idle); err != nil {
		return err
	}
	spent := testbed.CpuTime(pid) - used
	after, err := s.Writes(ctx)
	if err != nil {
		return err
	}
	written := after.Since(before)
	for _, op := range testbed.ByFrequency(written.Done) {
		b.Logf("idle: %d × %s", written.Done[op], op)
	}
	now, most := testbed.ResidentMemory(pid)
	r := b.Report.Table("idle")
	r.Add("tokens", float64(b.Tokens), "tokens")
	r.Add("time", b.Idle.Seconds(), "s")
	r.AddGoal("writes meanwhile", float64(written.Total()+testbed.Total(written.Refused)), "writes", report.AtMost(0))
	r.Add("processor time meanwhile", spent.Seconds(), "s")
	r.Add("processor", 100*spent.Seconds()/b.Idle.Seconds(), "% of a core")
	r.Add("memory of the operator", now, "MiB")
	r.Add("memory of the operator at most", most, "MiB")
	return nil
}
