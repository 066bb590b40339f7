package issuance

import (
	"context"
	"time"

	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

// MeasureQuota brings many tokens from declared to Ready at a Client whose maxCount they use up.
// Then it brings as many to Ready at a Client whose maxCount is far away. The first is measured
// with cold caches, so any bias is against it.
func MeasureQuota(ctx context.Context, b *scenario.Run) error {
	before := b.MaxCount
	defer func() { b.MaxCount = before }()
	r := b.Report.Table("quota")
	var seconds, passes [2]float64
	for i, maxCount := range []int{b.Tokens, testbed.UnlimitedCount} {
		b.MaxCount = maxCount
		var err error
		if seconds[i], passes[i], err = issueAll(ctx, b); err != nil {
			return err
		}
	}
	r.Add("tokens applied, each time", float64(b.Tokens), "tokens")
	r.AddRatio("until all are Ready with maxCount used up, beside one far away", seconds[0], "s", seconds[1], report.AtMost(1.1))
	r.AddRatio("passes per token with maxCount used up, beside one far away", passes[0], "passes", passes[1], nil)
	return b.TearDown()
}

// issueAll applies all tokens on a fresh testbed. It returns the seconds until all are Ready, and
// the passes per token.
func issueAll(ctx context.Context, b *scenario.Run) (seconds, passes float64, err error) {
	s, err := b.NewTestbed(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err := s.StartOperator(ctx); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	last, err := declareUntilReady(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	passes, err = s.TokenPasses(ctx)
	return last.Sub(began).Seconds(), passes / float64(b.Tokens), err
}
