package replicas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
)

// maxTakeover is the longest pause that docs/operations.md promises after a leader was killed.
const maxTakeover = 13 * time.Second

// takeovers ends the leader, gracefully and by force. It measures how long a rotation takes that is
// triggered once the leader has ended.
func (r *replicaSet) takeovers(ctx context.Context, b *scenario.Run) error {
	ends := []struct {
		name string
		end  func(*testbed.Operator) error
		most time.Duration
	}{{"leader ends in order", (*testbed.Operator).Stop, 4 * time.Second}, {"leader is killed", (*testbed.Operator).Kill, maxTakeover}}
	c := b.Report.Table(fmt.Sprintf("takeovers, %d times each", b.Options.Takeovers))
	for n, how := range ends {
		var took []time.Duration
		for i := range b.Options.Takeovers {
			b.Logf("replicas: %s, %d of %d", how.name, i, b.Options.Takeovers)
			d, err := r.takeover(ctx, fmt.Sprintf("takeover-%d-%d", n, i), how.end)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", how.name, i, err)
			}
			took = append(took, d)
		}
		c.Add(how.name+": until a rotation triggered then is in the Secret, median", report.Percentile(took, 50).Seconds(), "s")
		c.AddGoal(how.name+": longest", report.Percentile(took, 100).Seconds(), "s", report.AtMost(how.most.Seconds()))
	}
	return nil
}

func (r *replicaSet) takeover(ctx context.Context, name string, end func(*testbed.Operator) error) (time.Duration, error) {
	at := testbed.NewToken(testbed.ProbeNamespace, name)
	if err := r.Clients[0].Create(ctx, at); err != nil {
		return 0, err
	}
	key := client.ObjectKeyFromObject(at)
	text, _, err := r.secretTokens.after(ctx, key, "")
	if err != nil {
		return 0, err
	}
	leader, err := r.leader(ctx)
	if err != nil {
		return 0, err
	}
	if err := end(r.all[leader]); err != nil {
		return 0, err
	}
	ended := time.Now()
	if err := r.Clients[0].Patch(ctx, at, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"rotation":{"trigger":"2"}}}`))); err != nil {
		return 0, err
	}
	_, rotated, err := r.secretTokens.after(ctx, key, text)
	if err != nil {
		return 0, err
	}
	return rotated.Sub(ended), r.startReplica(ctx, leader)
}

// leader returns the number of the replica that leads: the only one that counts tokens.
func (r *replicaSet) leader(ctx context.Context) (int, error) {
	for i, o := range r.all {
		tokens, err := o.Metric(ctx, "apptoken_tokens", "")
		if err != nil {
			return 0, err
		}
		if tokens > 0 {
			return i, nil
		}
	}
	return 0, errors.New("no replica leads")
}
