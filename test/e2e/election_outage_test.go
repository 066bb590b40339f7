package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// replica is an operator with leader election behind a fault proxy of its own.
type replica struct {
	*operator
	proxy  *faultProxy
	health string
}

// replicaSet is the replicas of one operator, with a tenant and its token.
type replicaSet struct {
	*tenant
	all  []replica
	text string
}

// startReplicas starts n replicas, and returns them once all serve and one leads.
func startReplicas(t *testing.T, n int) *replicaSet {
	t.Helper()
	if commonOperator.op != nil {
		t.Fatal("the operator that tests share runs already, and could be the one that reconciles")
	}
	r := &replicaSet{}
	for range n {
		v, op, health := startBehindProxy(t, time.Hour)
		r.all = append(r.all, replica{op, v, health})
	}
	r.tenant = newTenant(t, r.all[0].operator)
	r.declareToken("indexer", `{rotation: {trigger: a, retire: {minOverlap: 0s, maxOverlap: 1h}}}`) // so that rotations follow one another
	r.waitReady("indexer")
	r.text = r.tenant.tokenText("indexer")
	r.eventually("every replica serves, and one leads", func(ctx context.Context) bool { return r.leaders() == 1 && r.whyUnserved(ctx) == "" })
	return r
}

// setOutage makes the API server unreachable for replicas, or reachable again.
func (r *replicaSet) setOutage(down bool, which ...replica) {
	for _, one := range which {
		one.proxy.setDown(down)
	}
}

// leader returns the replica that reconciles.
func (r *replicaSet) leader() replica {
	r.Helper()
	for _, one := range r.all {
		if one.IsLeading() {
			return one
		}
	}
	r.Fatal("no replica leads")
	return replica{}
}

// leaders returns how many replicas reconcile.
func (r *replicaSet) leaders() (n int) {
	for _, one := range r.all {
		if one.IsLeading() {
			n++
		}
	}
	return n
}

// whyUnserved returns why a replica does not accept the token; "" if all replicas accept it.
func (r *replicaSet) whyUnserved(ctx context.Context) string {
	for i, one := range r.all {
		if len(one.done) > 0 {
			return fmt.Sprintf("replica %d has ended", i)
		}
		if status, said := readyz(ctx, one.health); status != http.StatusOK {
			return fmt.Sprintf("replica %d is not ready: %d %s", i, status, said)
		}
		if status := r.viaReplica(r.T, one.operator).verifyToken(r.text, "", "192.0.2.1").status; status != http.StatusOK {
			return fmt.Sprintf("replica %d answers %d", i, status)
		}
	}
	return ""
}

// waitServing waits until a condition holds. Meanwhile it asserts that every replica serves, and
// that no two of them lead.
func (r *replicaSet) waitServing(sentence string, holds func(context.Context) bool) {
	r.Helper()
	r.waitServingWithin(maxWait, sentence, holds)
}

// waitServingWithin is waitServing with a limit of its own.
func (r *replicaSet) waitServingWithin(limit time.Duration, sentence string, holds func(context.Context) bool) {
	r.Helper()
	r.eventuallyWithin(limit, sentence, func(ctx context.Context) bool {
		if why := r.whyUnserved(ctx); why != "" {
			r.Fatal(why)
		}
		if n := r.leaders(); n > 1 {
			r.Fatalf("%d replicas lead", n)
		}
		return holds(ctx)
	})
}

// lease returns the Lease.
func (r *replicaSet) lease(ctx context.Context) *coordinationv1.Lease {
	r.Helper()
	var lease coordinationv1.Lease
	if err := admin.Get(ctx, client.ObjectKey{Namespace: systemNamespace, Name: "apptoken-operator"}, &lease); err != nil {
		r.Fatal(err)
	}
	return &lease
}

// rotate triggers a rotation, and waits for it.
func (r *replicaSet) rotate(trigger string, version int64) {
	r.Helper()
	r.editToken("indexer", `{rotation: {trigger: `+trigger+`}}`)
	r.waitServing("the token is rotated", func(context.Context) bool {
		var at v1alpha1.ApplicationToken
		return r.get("indexer", &at) && isReady(&at) && at.Status.Rotations == version-1
	})
	r.waitServing("one replica leads", func(context.Context) bool { return r.leaders() == 1 })
}

// Losing the Lease stops reconciling and nothing else, however long the API server is unavailable.
func TestElection_OutageServesOnEveryReplica(t *testing.T) {
	for n, outage := range map[int]time.Duration{1: 15 * time.Second, 2: 2 * time.Minute, 3: 2 * time.Minute} {
		t.Run(fmt.Sprintf("%d replicas", n), func(t *testing.T) {
			r := startReplicas(t, n)
			r.setOutage(true, r.all...)
			r.waitServingWithin(outage+maxWait, "no replica has renewed the Lease for "+outage.String(), func(ctx context.Context) bool {
				return r.leaders() == 0 && time.Since(r.lease(ctx).Spec.RenewTime.Time) > outage
			})
			r.setOutage(false, r.all...)
			back := time.Now()
			r.rotate("b", 2)
			t.Logf("rotated %s after the API server was back", time.Since(back).Round(time.Millisecond))
		})
	}
}

// A leader that cannot reach the API server stops before another replica leads, and competes again
// once it can.
func TestElection_PartitionedLeaderStopsFirst(t *testing.T) {
	r := startReplicas(t, 2)
	for round, trigger := range []string{"b", "c"} {
		cut := r.leader()
		r.setOutage(true, cut)
		r.waitServing("another replica leads", func(context.Context) bool { return r.leaders() == 1 && !cut.IsLeading() })
		r.rotate(trigger, int64(round)+2)
		r.setOutage(false, cut)
	}
}

// A replica that is stopped ends in order even if it cannot reach the API server.
func TestElection_StopsInOutage(t *testing.T) {
	r := startReplicas(t, 2)
	first := r.leader()
	r.setOutage(true, r.all...)
	r.must(first.stop()) // while it leads, or just after it has lost the Lease
	r.eventually("no replica leads", func(context.Context) bool { return r.leaders() == 0 })
	for _, one := range r.all {
		r.must(one.stop())
	}
}

func TestElection_LostLeaseIsWonAgain(t *testing.T) {
	r := startReplicas(t, 1)
	for round, trigger := range []string{"b", "c"} {
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "apptoken-operator"}}
		r.must(admin.Patch(t.Context(), lease, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"holderIdentity":"another"}}`))))
		r.waitServing("it does not lead", func(context.Context) bool { return r.leaders() == 0 })
		r.rotate(trigger, int64(round)+2)
	}
}
