package fairqueue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func item(namespace string, n int) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: fmt.Sprint(n)}}
}

func TestTurns_CrowdedNamespaceDelaysNeighbourByFewItems(t *testing.T) {
	for name, priorities := range map[string]struct{ crowd, neighbour int }{
		"of the same priority": {0, 0}, "of a higher priority": {20, -10}, "of a lower priority": {-10, 0},
	} {
		t.Run(name, func(t *testing.T) {
			q := newTurns(1 << 10)
			for n := range 1000 {
				q.push(item("crowded", n), priorities.crowd)
			}
			for range 7 {
				q.pop()
			}
			q.push(item("neighbour", 0), priorities.neighbour)
			for turn := 1; ; turn++ {
				if got, priority := q.pop(); got.Namespace == "neighbour" {
					if priority != priorities.neighbour {
						t.Errorf("popped with priority %d, want %d", priority, priorities.neighbour)
					}
					return
				}
				if turn > 4 {
					t.Fatalf("the neighbour is not among the first %d items", turn)
				}
			}
		})
	}
}

func TestTurns_ManyNamespacesDelayUrgentItemByOneRound(t *testing.T) {
	q := newTurns(1)
	for n := range 500 {
		q.push(item(fmt.Sprint("ns-", n), 0), -10)
	}
	q.push(item("urgent", 0), 20)
	if first, _ := q.pop(); first.Namespace != "urgent" {
		t.Errorf("the first item is of %s, want that of the highest priority", first.Namespace)
	}
}

func TestTurns_PriorityRisesAndNeverFalls(t *testing.T) {
	q := newTurns(4)
	q.push(item("a", 1), 0)
	q.push(item("a", 2), 0)
	q.push(item("a", 2), 20)
	q.push(item("a", 2), -10)
	q.push(item("a", 1), -10)
	got := []string{}
	for q.len() > 0 {
		r, priority := q.pop()
		got = append(got, fmt.Sprint(r.Name, " at ", priority))
	}
	if want := []string{"2 at 20", "1 at 0"}; !slices.Equal(got, want) {
		t.Errorf("popped %v, want %v", got, want)
	}
}

// Random pushes, pops and releases: no item is lost or handed out twice, those of one namespace and priority come in the order
// in which they got there, and no namespace has more than its share.
func TestTurns_KeepEveryItemInOrderWithinShare(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		share := 1 + random.IntN(5)
		q := newTurns(share)
		var out []reconcile.Request
		type place struct{ priority, seq int }
		model := map[reconcile.Request]place{}
		namespaces := 1 + random.IntN(6)
		seq := 0
		for range 600 {
			if random.IntN(5) < 3 {
				r, priority := item(fmt.Sprint("ns-", random.IntN(namespaces)), random.IntN(40)), 10*(random.IntN(4)-1)
				if old, waits := model[r]; !waits || priority > old.priority {
					seq++
					model[r] = place{priority, seq}
				}
				q.push(r, priority)
			} else if q.len() > 0 {
				r, priority := q.pop()
				p, waits := model[r]
				if !waits || p.priority != priority {
					t.Fatalf("seed %d: popped %v at %d, the model has %v (%v)", seed, r, priority, p, waits)
				}
				delete(model, r)
				out = append(out, r)
				for other, o := range model {
					if other.Namespace == r.Namespace && (o.priority > priority || o.priority == priority && o.seq < p.seq) {
						t.Fatalf("seed %d: %v at %d was popped before %v at %d of the same namespace", seed, r, priority, other, o.priority)
					}
				}
			}
			if len(out) > 0 && random.IntN(3) == 0 {
				i := random.IntN(len(out))
				q.release(out[i])
				out = slices.Delete(out, i, i+1)
			}
			held := map[string]int{}
			for _, r := range out {
				if held[r.Namespace]++; held[r.Namespace] > share {
					t.Fatalf("seed %d: %s has more than its share of %d", seed, r.Namespace, share)
				}
			}
			eligible := 0
			for r := range model {
				if held[r.Namespace] < share {
					eligible++
				}
			}
			if q.len() != eligible {
				t.Fatalf("seed %d: %d items may be handed out, the model has %d", seed, q.len(), eligible)
			}
		}
		for _, r := range out {
			q.release(r)
		}
		for len(model) > 0 {
			r, _ := q.pop()
			q.release(r)
			delete(model, r)
		}
		if q.len() != 0 || len(q.namespaces) != 0 || len(q.classes) != 0 {
			t.Fatalf("seed %d: the empty queue remembers %d namespaces and %d priorities", seed, len(q.namespaces), len(q.classes))
		}
	}
}
