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
			q := newTurns()
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
	q := newTurns()
	for n := range 500 {
		q.push(item(fmt.Sprint("ns-", n), 0), -10)
	}
	q.push(item("urgent", 0), 20)
	if first, _ := q.pop(); first.Namespace != "urgent" {
		t.Errorf("the first item is of %s, want that of the highest priority", first.Namespace)
	}
}

func TestTurns_PriorityRisesAndNeverFalls(t *testing.T) {
	q := newTurns()
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

// Random pushes and pops: no item is lost or handed out twice, those of one namespace and priority come in the order in which
// they got there, and none waits longer than two items of each namespace for each item of its own that is ahead.
func TestTurns_KeepEveryItemInOrderWithinBound(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test that can be repeated
		q := newTurns()
		type place struct{ priority, since, seq, ahead int }
		model := map[reconcile.Request]place{}
		namespaces := 1 + random.IntN(6)
		pops, seq := 0, 0
		for range 600 {
			if random.IntN(5) < 3 {
				r, priority := item(fmt.Sprint("ns-", random.IntN(namespaces)), random.IntN(40)), 10*(random.IntN(4)-1)
				if old, waits := model[r]; !waits || priority > old.priority {
					ahead := 0
					for other := range model {
						if other.Namespace == r.Namespace && other != r {
							ahead++
						}
					}
					seq++
					model[r] = place{priority, pops, seq, ahead}
				}
				q.push(r, priority)
			} else if q.len() > 0 {
				r, priority := q.pop()
				pops++
				p, waits := model[r]
				if !waits || p.priority != priority {
					t.Fatalf("seed %d: popped %v at %d, the model has %v (%v)", seed, r, priority, p, waits)
				}
				delete(model, r)
				for other, o := range model {
					if other.Namespace == r.Namespace && (o.priority > priority || o.priority == priority && o.seq < p.seq) {
						t.Fatalf("seed %d: %v at %d was popped before %v at %d of the same namespace", seed, r, priority, other, o.priority)
					}
				}
			}
			if q.len() != len(model) {
				t.Fatalf("seed %d: %d items wait, the model has %d", seed, q.len(), len(model))
			}
		}
		// Of an item of the highest priority nothing can get ahead any more.
		for r, p := range model {
			if p.priority == 20 && pops-p.since > 2*(namespaces+1)*(p.ahead+1) {
				t.Errorf("seed %d: %v waits since %d pops, %d of its namespace were ahead", seed, r, pops-p.since, p.ahead)
			}
		}
	}
}
