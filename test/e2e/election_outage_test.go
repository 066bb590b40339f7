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

// replica is an operator with leader election behind a valve of its own.
type replica struct {
	*operator
	way    *valve
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
	if common.op != nil {
		t.Fatal("the operator that tests share runs already, and could be the one that reconciles")
	}
	r := &replicaSet{}
	for range n {
		v, op, health := behind(t, time.Hour)
		r.all = append(r.all, replica{op, v, health})
	}
	r.tenant = tenantOf(t, r.all[0].operator)
	r.declare("indexer", `{rotation: {trigger: a, retire: {minOverlap: 0s, maxOverlap: 1h}}}`) // so that rotations follow one another
	r.ready("indexer")
	r.text = r.tenant.text("indexer")
	r.eventually("every replica serves, and one leads", func(ctx context.Context) bool { return r.leaders() == 1 && r.unserved(ctx) == "" })
	return r
}

// cut makes the API server unreachable for replicas, or reachable again.
func (r *replicaSet) cut(down bool, which ...replica) {
	for _, one := range which {
		one.way.set(down)
	}
}

// leader returns the replica that reconciles.
func (r *replicaSet) leader() replica {
	r.Helper()
	for _, one := range r.all {
		if one.Leading() {
			return one
		}
	}
	r.Fatal("no replica leads")
	return replica{}
}

// leaders returns how many replicas reconcile.
func (r *replicaSet) leaders() (n int) {
	for _, one := range r.all {
		if one.Leading() {
			n++
		}
	}
	return n
}

// unserved returns why a replica does not accept the token; "" if all replicas accept it.
func (r *replicaSet) unserved(ctx context.Context) string {
	for i, one := range r.all {
		if len(one.done) > 0 {
			return fmt.Sprintf("replica %d has ended", i)
		}
		if status, said := readyz(ctx, one.health); status != http.StatusOK {
			return fmt.Sprintf("replica %d is not ready: %d %s", i, status, said)
		}
		if status := r.through(r.T, one.operator).passes(r.text, "", "192.0.2.1").status; status != http.StatusOK {
			return fmt.Sprintf("replica %d answers %d", i, status)
		}
	}
	return ""
}

// serving waits until a condition holds. Meanwhile it asserts that every replica serves, and that
// no two of them lead.
func (r *replicaSet) serving(sentence string, holds func(context.Context) bool) {
	r.Helper()
	r.servingWithin(patience, sentence, holds)
}

// servingWithin is serving with a limit of its own.
func (r *replicaSet) servingWithin(limit time.Duration, sentence string, holds func(context.Context) bool) {
	r.Helper()
	r.within(limit, sentence, func(ctx context.Context) bool {
		if why := r.unserved(ctx); why != "" {
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
	if err := admin.Get(ctx, client.ObjectKey{Namespace: system, Name: "apptoken-operator"}, &lease); err != nil {
		r.Fatal(err)
	}
	return &lease
}

// rotates triggers a rotation, and waits for it.
func (r *replicaSet) rotates(trigger string, version int64) {
	r.Helper()
	r.edit("indexer", `{rotation: {trigger: `+trigger+`}}`)
	r.serving("the token is rotated", func(context.Context) bool {
		var at v1alpha1.ApplicationToken
		return r.get("indexer", &at) && isReady(&at) && at.Status.Rotations == version-1
	})
	r.serving("one replica leads", func(context.Context) bool { return r.leaders() == 1 })
}

// Losing the Lease stops reconciling and nothing else, however long the API server is unavailable.
func TestElection_OutageServesOnEveryReplica(t *testing.T) {
	for n, outage := range map[int]time.Duration{1: 15 * time.Second, 2: 2 * time.Minute, 3: 2 * time.Minute} {
		t.Run(fmt.Sprintf("%d replicas", n), func(t *testing.T) {
			r := startReplicas(t, n)
			r.cut(true, r.all...)
			r.servingWithin(outage+patience, "no replica has renewed the Lease for "+outage.String(), func(ctx context.Context) bool {
				return r.leaders() == 0 && time.Since(r.lease(ctx).Spec.RenewTime.Time) > outage
			})
			r.cut(false, r.all...)
			back := time.Now()
			r.rotates("b", 2)
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
		r.cut(true, cut)
		r.serving("another replica leads", func(context.Context) bool { return r.leaders() == 1 && !cut.Leading() })
		r.rotates(trigger, int64(round)+2)
		r.cut(false, cut)
	}
}

// A replica that is stopped ends in order even if it cannot reach the API server.
func TestElection_StopsInOutage(t *testing.T) {
	r := startReplicas(t, 2)
	first := r.leader()
	r.cut(true, r.all...)
	r.must(first.halt()) // while it leads, or just after it has lost the Lease
	r.eventually("no replica leads", func(context.Context) bool { return r.leaders() == 0 })
	for _, one := range r.all {
		r.must(one.halt())
	}
}

func TestElection_LostLeaseIsWonAgain(t *testing.T) {
	r := startReplicas(t, 1)
	for round, trigger := range []string{"b", "c"} {
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "apptoken-operator"}}
		r.must(admin.Patch(t.Context(), lease, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"holderIdentity":"another"}}`))))
		r.serving("it does not lead", func(context.Context) bool { return r.leaders() == 0 })
		r.rotates(trigger, int64(round)+2)
	}
}
