package main

import (
	"context"
	"time"
)

// measureQuota brings many tokens from declared to Ready at a Client whose maxCount they use up.
// Then it brings as many to Ready at a Client whose maxCount is far away. The first is measured
// with cold caches, so any bias is against it.
func measureQuota(ctx context.Context, b *bench) error {
	before := b.maxCount
	defer func() { b.maxCount = before }()
	r := b.report.section("quota")
	var seconds, passes [2]float64
	for i, maxCount := range []int{b.tokens, unlimitedCount} {
		b.maxCount = maxCount
		var err error
		if seconds[i], passes[i], err = issueAll(ctx, b); err != nil {
			return err
		}
	}
	r.add("tokens applied, each time", float64(b.tokens), "tokens")
	r.addRatio("until all are Ready with maxCount used up, beside one far away", seconds[0], "s", seconds[1], atMost(1.1))
	r.addRatio("passes per token with maxCount used up, beside one far away", passes[0], "passes", passes[1], nil)
	return b.tearDown()
}

// issueAll applies all tokens on a fresh testbed. It returns the seconds until all are Ready, and
// the passes per token.
func issueAll(ctx context.Context, b *bench) (seconds, passes float64, err error) {
	s, err := b.newTestbed(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err := s.startOperator(ctx); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	last, err := declareUntilReady(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	passes, err = s.tokenPasses(ctx)
	return last.Sub(began).Seconds(), passes / float64(b.tokens), err
}
