package verification

import (
	"context"
	"net/http"
	"time"

	"github.com/apptoken/operator/internal/verify"
	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

// floodRate is how many tokens per second a flood presents. All are well-formed, and none is known.
const floodRate = 100_000

// flood compares the response times for valid tokens during a flood of unknown tokens with those
// without a flood.
func (d *endpointTest) flood(ctx context.Context, b *scenario.Run, r report.Table) error {
	unknown, err := unknownTokens(1 << 17)
	if err != nil {
		return err
	}
	address, err := d.serve(ctx, d.Handler())
	if err != nil {
		return err
	}
	target := load.HTTPTarget("/verify", address, d.requests(http.MethodGet, "/verify?permission=search.query", "", nil))
	var quiet, flooded []time.Duration
	var asked float64
	var lasted time.Duration
	for range b.Turns {
		v, err := target.Run(ctx, b.Turn)
		if err != nil {
			return err
		}
		quiet = append(quiet, v.P99)
		flood, endFlood := context.WithCancel(ctx)
		over := make(chan int)
		began := time.Now()
		go func() { over <- d.presentUnknown(flood, unknown) }()
		v, err = target.Run(ctx, b.Turn)
		endFlood()
		asked += float64(<-over)
		lasted += time.Since(began)
		if err != nil {
			return err
		}
		flooded = append(flooded, v.P99)
	}
	r.Add("unknown tokens a second in a flood", asked/lasted.Seconds(), "/s")
	r.AddRatio("/verify, p99 of valid tokens in a flood, beside none", report.Microseconds(report.Percentile(flooded, 50)), "µs", report.Microseconds(report.Percentile(quiet, 50)), report.AtMost(2))
	r.AddRatio("reads of the API server in the flood, beside what is allowed", float64(d.reads.asked.Load()), "reads", maxReads*(lasted.Seconds()+float64(b.Turns)), report.AtMost(1))
	return nil
}

// presentUnknown presents unknown tokens to the verifier at a steady rate until ctx ends, and
// returns how many.
func (d *endpointTest) presentUnknown(ctx context.Context, unknown []string) int {
	return load.OpenLoop(ctx, floodRate, func(i int) {
		d.Verifier.Verify(ctx, unknown[i%len(unknown)], verify.Facts{})
	})
}
