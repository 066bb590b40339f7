package issuance

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

// issuance describes the work of the operator from the first declaration until all tokens were
// Ready.
type issuance struct {
	seconds float64        // until all are Ready
	rate    float64        // writes per second until then
	cost    testbed.Counts // writes until all was at rest
	passes  float64
	logged  int     // errors
	memory  float64 // of the operator at most, in MiB
}

// MeasureWrite brings many tokens from declared to Ready. Then it has plain clients do the same
// writes on the same API server. The operator is measured first, with cold caches, so any bias is
// against it.
func MeasureWrite(ctx context.Context, b *scenario.Run) error {
	s, err := b.NewTestbed(ctx)
	if err != nil {
		return err
	}
	if err := s.StartOperator(ctx); err != nil {
		return err
	}
	issued, err := issueTokens(ctx, b, s)
	if err != nil {
		return err
	}
	sample, err := s.ReadSample(ctx, client.ObjectKey{Namespace: testbed.TokenNamespace(0), Name: testbed.TokenName(0)})
	if err != nil {
		return err
	}
	if err := s.StopOperator(); err != nil {
		return err
	}

	raw, err := s.PlainWriteRate(ctx, sample, issued.cost)
	if err != nil {
		return err
	}
	n := float64(b.Tokens)
	r := b.Report.Table("write")
	r.Add("tokens applied", n, "tokens")
	r.Add("until all are Ready", issued.seconds, "s")
	r.Add("tokens per second", n/issued.seconds, "/s")
	for _, op := range testbed.ByFrequency(issued.cost.Done) {
		r.Add(op.String()+" per token", float64(issued.cost.Done[op])/n, "writes")
	}
	r.Add("writes per token", float64(issued.cost.Total())/n, "writes")
	r.Add("passes per token", issued.passes/n, "passes")
	r.Add("writes refused by the API server", float64(testbed.Total(issued.cost.Refused)), "writes")
	r.Add("errors in the operator's log", float64(issued.logged), "lines")
	r.Add("memory of the operator at most", issued.memory, "MiB")
	r.AddRatio("writes per second, beside plain clients", issued.rate, "/s", raw, report.AtLeast(0.6))
	return nil
}

// issueTokens declares all tokens, and waits until all are Ready and everything is at rest.
func issueTokens(ctx context.Context, b *scenario.Run, s *testbed.Testbed) (issued issuance, err error) {
	before, err := s.Writes(ctx)
	if err != nil {
		return issued, err
	}
	used, began := s.Usage(), time.Now()
	last, err := declareUntilReady(ctx, s)
	if err != nil {
		return issued, err
	}
	atReady, err := s.Writes(ctx)
	if err != nil {
		return issued, err
	}
	issued.seconds = last.Sub(began).Seconds()
	issued.rate = float64(atReady.Since(before).Total()) / time.Since(began).Seconds()
	b.Logf("with the operator: %s", s.Usage().Since(used))
	atRest, err := s.WaitQuiet(ctx)
	if err != nil {
		return issued, err
	}
	issued.cost = atRest.Since(before)
	if issued.passes, err = s.TokenPasses(ctx); err != nil {
		return issued, err
	}
	if issued.logged, err = s.Operator.LoggedErrors(); err != nil {
		return issued, err
	}
	_, issued.memory = testbed.ResidentMemory(s.Operator.Pid())
	return issued, nil
}

// declareUntilReady declares all tokens at once, and returns when the last of them became Ready.
func declareUntilReady(ctx context.Context, s *testbed.Testbed) (time.Time, error) {
	applied := make(chan error, 1)
	go func() { applied <- s.DeclareAll(ctx) }()
	last, err := s.Tracker.Wait(ctx, "Ready", s.Config.Tokens, testbed.IsReady)
	return last, errors.Join(<-applied, err)
}
