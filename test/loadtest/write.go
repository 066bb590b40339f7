package main

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// issuance is what the operator did from the first declaration until all tokens were Ready.
type issuance struct {
	seconds float64 // until all are Ready
	rate    float64 // writes per second until then
	cost    counts  // writes until all was at rest
	passes  float64
	logged  int     // errors
	memory  float64 // of the operator at most, in MiB
}

// measureWrite brings many tokens from declared to Ready. Then it has plain clients do the same
// writes on the same API server. The operator is measured first, with cold caches, so any bias is
// against it.
func measureWrite(ctx context.Context, b *bench) error {
	s, err := b.newTestbed(ctx)
	if err != nil {
		return err
	}
	if err := s.startOperator(ctx); err != nil {
		return err
	}
	issued, err := issueTokens(ctx, b, s)
	if err != nil {
		return err
	}
	sample, err := s.sample(ctx, client.ObjectKey{Namespace: namespaceOf(0), Name: nameOf(0)})
	if err != nil {
		return err
	}
	if err := s.stopOperator(); err != nil {
		return err
	}

	raw, err := s.plainWriteRate(ctx, sample, issued.cost)
	if err != nil {
		return err
	}
	n := float64(b.tokens)
	r := b.report.section("write")
	r.add("tokens applied", n, "tokens")
	r.add("until all are Ready", issued.seconds, "s")
	r.add("tokens per second", n/issued.seconds, "/s")
	for _, op := range byFrequency(issued.cost.done) {
		r.add(op.String()+" per token", float64(issued.cost.done[op])/n, "writes")
	}
	r.add("writes per token", float64(issued.cost.total())/n, "writes")
	r.add("passes per token", issued.passes/n, "passes")
	r.add("writes refused by the API server", float64(total(issued.cost.refused)), "writes")
	r.add("errors in the operator's log", float64(issued.logged), "lines")
	r.add("memory of the operator at most", issued.memory, "MiB")
	r.addRatio("writes per second, beside plain clients", issued.rate, "/s", raw, atLeast(0.6))
	return nil
}

// issueTokens declares all tokens, and waits until all are Ready and everything is at rest.
func issueTokens(ctx context.Context, b *bench, s *testbed) (issued issuance, err error) {
	before, err := s.writes(ctx)
	if err != nil {
		return issued, err
	}
	used, began := s.usage(), time.Now()
	last, err := declareUntilReady(ctx, s)
	if err != nil {
		return issued, err
	}
	atReady, err := s.writes(ctx)
	if err != nil {
		return issued, err
	}
	issued.seconds = last.Sub(began).Seconds()
	issued.rate = float64(atReady.since(before).total()) / time.Since(began).Seconds()
	b.logf("with the operator: %s", s.usage().since(used))
	atRest, err := s.waitQuiet(ctx)
	if err != nil {
		return issued, err
	}
	issued.cost = atRest.since(before)
	if issued.passes, err = s.tokenPasses(ctx); err != nil {
		return issued, err
	}
	if issued.logged, err = s.operator.loggedErrors(); err != nil {
		return issued, err
	}
	_, issued.memory = residentMemory(s.operator.pid())
	return issued, nil
}

// declareUntilReady declares all tokens at once, and returns when the last of them became Ready.
func declareUntilReady(ctx context.Context, s *testbed) (time.Time, error) {
	applied := make(chan error, 1)
	go func() { applied <- s.declareAll(ctx) }()
	last, err := s.tokens.wait(ctx, "Ready", s.testbedConfig.tokens, isReady)
	return last, errors.Join(<-applied, err)
}
