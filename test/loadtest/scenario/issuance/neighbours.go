package issuance

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

const (
	hostileNamespace = "bench-hostile"
	// hostileTargets is how many restart targets each hostile token has. None of them exists.
	hostileTargets = 16
)

// MeasureNeighbours compares how long new tokens take from declared to Ready alone and beside a
// hostile namespace. That namespace asks for as much work as it may. All its tokens are declared,
// and then triggered to rotate, at once, as fast as the API server accepts it. Their restart
// targets do not exist. The measurement begins after these writes, while the operator works on
// them.
func MeasureNeighbours(ctx context.Context, b *scenario.Run) error {
	s, err := b.NewTestbed(ctx)
	if err != nil {
		return err
	}
	if err := s.StartOperator(ctx); err != nil {
		return err
	}
	if err := s.Clients[0].Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: hostileNamespace}}); err != nil {
		return fmt.Errorf("create namespace %s: %w", hostileNamespace, err)
	}
	alone, err := probeAlongside(ctx, b, s, "alone")
	if err != nil {
		return err
	}
	r := b.Report.Table("neighbours")
	r.Add("tokens of the hostile namespace", float64(b.Hostile), "tokens")
	for _, phase := range []struct {
		name string
		do   func(ctx context.Context, c client.Client, i int) error
	}{
		{"declared", func(ctx context.Context, c client.Client, i int) error {
			return c.Create(ctx, newHostileToken(testbed.TokenName(i)))
		}},
		{"rotated", func(ctx context.Context, c client.Client, i int) error {
			return c.Patch(ctx, newHostileToken(testbed.TokenName(i)), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"rotation":{"trigger":"2"}}}`)))
		}},
	} {
		if err := s.InParallel(ctx, phase.name, b.Hostile, phase.do); err != nil {
			return err
		}
		beside, err := probeAlongside(ctx, b, s, phase.name)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("from declared to Ready, %%s, while those are %s, beside that alone", phase.name)
		r.AddRatio(fmt.Sprintf(what, "median"), report.Percentile(beside.Took, 50).Seconds(), "s", report.Percentile(alone.Took, 50).Seconds(), nil)
		r.AddRatio(fmt.Sprintf(what, "p99"), report.Percentile(beside.Took, 99).Seconds(), "s", report.Percentile(alone.Took, 99).Seconds(), report.Below(2))
	}
	return nil
}

// probeAlongside declares tokens for the time b.idle, and measures how long each takes.
func probeAlongside(ctx context.Context, b *scenario.Run, s *testbed.Testbed, name string) (*testbed.Probe, error) {
	p := s.StartProbe(ctx, name)
	err := load.Sleep(ctx, b.Idle)
	return p, errors.Join(err, p.End(ctx))
}

// newHostileToken returns a token that rotates as often as the Client allows, with restart targets
// that do not exist.
func newHostileToken(name string) *v1alpha1.ApplicationToken {
	at := testbed.NewToken(hostileNamespace, name)
	at.Spec.Rotation.Every = "10m"
	at.Spec.Rotation.Retire = &v1alpha1.Retire{When: v1alpha1.RetireAfterOverlap, MinOverlap: "0s", MaxOverlap: "1s"}
	for n := range hostileTargets {
		at.Spec.Restart = append(at.Spec.Restart, v1alpha1.RestartTarget{
			Kind: v1alpha1.RestartDeployment, Name: v1alpha1.ObjectName(fmt.Sprintf("missing-%d", n)),
		})
	}
	return at
}
