package main

import (
	"context"
	"net/http"
	"time"

	"github.com/apptoken/operator/internal/verify"
)

// floodRate is how many tokens per second a flood presents. All are well-formed, and none is known.
const floodRate = 100_000

// flood compares the response times for valid tokens during a flood of unknown tokens with those
// without a flood.
func (d *endpointBench) flood(ctx context.Context, b *bench, r reportSection) error {
	unknown, err := unknownTokens(1 << 17)
	if err != nil {
		return err
	}
	address, err := d.serve(ctx, d.Handler())
	if err != nil {
		return err
	}
	target := httpTarget("/verify", address, d.requests(http.MethodGet, "/verify?permission=search.query", "", nil))
	var quiet, flooded []time.Duration
	var asked float64
	var lasted time.Duration
	for range b.turns {
		v, err := target.run(ctx, b.turn)
		if err != nil {
			return err
		}
		quiet = append(quiet, v.p99)
		flood, endFlood := context.WithCancel(ctx)
		over := make(chan int)
		began := time.Now()
		go func() { over <- d.presentUnknown(flood, unknown) }()
		v, err = target.run(ctx, b.turn)
		endFlood()
		asked += float64(<-over)
		lasted += time.Since(began)
		if err != nil {
			return err
		}
		flooded = append(flooded, v.p99)
	}
	r.add("unknown tokens a second in a flood", asked/lasted.Seconds(), "/s")
	r.addRatio("/verify, p99 of good tokens in a flood, beside none", microseconds(percentile(flooded, 50)), "µs", microseconds(percentile(quiet, 50)), atMost(2))
	r.addRatio("reads of the API server in the flood, beside what is allowed", float64(d.reads.asked.Load()), "reads", maxReads*(lasted.Seconds()+float64(b.turns)), atMost(1))
	return nil
}

// presentUnknown presents unknown tokens to the verifier at a steady rate until ctx ends, and
// returns how many.
func (d *endpointBench) presentUnknown(ctx context.Context, unknown []string) int {
	return openLoop(ctx, floodRate, func(i int) {
		d.Verifier.Verify(ctx, unknown[i%len(unknown)], verify.Facts{})
	})
}
