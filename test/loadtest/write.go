package main

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

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
	before, err := s.writes(ctx)
	if err != nil {
		return err
	}
	used, began := s.usage(), time.Now()
	applied := make(chan error, 1)
	go func() { applied <- s.declareAll(ctx) }()
	last, err := s.tokens.wait(ctx, "Ready", b.tokens, isReady)
	if err := errors.Join(<-applied, err); err != nil {
		return err
	}
	atReady, err := s.writes(ctx)
	if err != nil {
		return err
	}
	window := time.Since(began).Seconds()
	b.logf("with the operator: %s", s.usage().since(used))
	atRest, err := s.waitQuiet(ctx)
	if err != nil {
		return err
	}
	passes, err := s.operator.metric(ctx, "controller_runtime_reconcile_total", `controller="applicationtoken`)
	if err != nil {
		return err
	}
	logged, err := s.operator.loggedErrors()
	if err != nil {
		return err
	}
	_, most := residentMemory(s.operator.command.Process.Pid)
	sample, err := s.sample(ctx, client.ObjectKey{Namespace: namespaceOf(0), Name: nameOf(0)})
	if err != nil {
		return err
	}
	if err := s.stopOperator(); err != nil {
		return err
	}

	cost := atRest.since(before)
	raw, err := s.plainWriteRate(ctx, sample, cost)
	if err != nil {
		return err
	}
	n, seconds := float64(b.tokens), last.Sub(began).Seconds()
	r := b.report.section("write")
	r.add("tokens applied", n, "tokens")
	r.add("until all are Ready", seconds, "s")
	r.add("tokens per second", n/seconds, "/s")
	for _, op := range byFrequency(cost.done) {
		r.add(op.String()+" per token", float64(cost.done[op])/n, "writes")
	}
	r.add("writes per token", float64(cost.total())/n, "writes")
	r.add("passes per token", passes/n, "passes")
	r.add("writes refused by the API server", float64(total(cost.refused)), "writes")
	r.add("errors in the operator's log", float64(logged), "lines")
	r.add("memory of the operator at most", most, "MiB")
	r.addRatio("writes per second, beside plain clients", float64(atReady.since(before).total())/window, "/s", raw, atLeast(0.6))
	return nil
}
