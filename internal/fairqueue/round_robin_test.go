package fairqueue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

var began = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func item(namespace string, n int) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: fmt.Sprint(n)}}
}

func TestRoundRobin_BusyNamespaceDelaysNeighbourByFewItems(t *testing.T) {
	for name, priorities := range map[string]struct{ largeBacklog, neighbour int }{
		"of the same priority": {0, 0}, "of a higher priority": {20, -10}, "of a lower priority": {-10, 0},
	} {
		t.Run(name, func(t *testing.T) {
			q := newRoundRobin(1 << 10)
			for n := range 1000 {
				q.push(item("backlog", n), priorities.largeBacklog, began)
			}
			for range 7 {
				q.pop(began)
			}
			q.push(item("neighbour", 0), priorities.neighbour, began)
			for turn := 1; ; turn++ {
				if got, priority := q.pop(began); got.Namespace == "neighbour" {
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

func TestRoundRobin_ManyNamespacesDelayUrgentItemByOneRound(t *testing.T) {
	q := newRoundRobin(1)
	for n := range 500 {
		q.push(item(fmt.Sprint("ns-", n), 0), -10, began)
	}
	q.push(item("urgent", 0), 20, began)
	if first, _ := q.pop(began); first.Namespace != "urgent" {
		t.Errorf("the first item is of %s, want that of the highest priority", first.Namespace)
	}
}

func TestRoundRobin_PriorityRisesAndNeverFalls(t *testing.T) {
	q := newRoundRobin(4)
	q.push(item("a", 1), 0, began)
	q.push(item("a", 2), 0, began)
	q.push(item("a", 2), 20, began)
	q.push(item("a", 2), -10, began)
	q.push(item("a", 1), -10, began)
	got := []string{}
	for q.eligibleCount() > 0 {
		r, priority := q.pop(began)
		got = append(got, fmt.Sprint(r.Name, " at ", priority))
	}
	if want := []string{"2 at 20", "1 at 0"}; !slices.Equal(got, want) {
		t.Errorf("popped %v, want %v", got, want)
	}
}

// TestRoundRobin_KeepsOrderWithinShare runs random pushes, pops and releases. No item is lost
// or handed out twice, and items of one namespace and priority keep their order. No namespace has
// more than its share. With every second seed, time stands still, so that namespaces with a backlog
// yield.
func TestRoundRobin_KeepsOrderWithinShare(t *testing.T) {
	for seed := range uint64(200) {
		now, stands := began, seed%2 == 1
		resting := []string{}
		random := rand.New(rand.NewPCG(seed, 0))
		share := 1 + random.IntN(5)
		q := newRoundRobin(share)
		var out []reconcile.Request
		type place struct{ priority, seq int }
		model := map[reconcile.Request]place{}
		namespaces := 1 + random.IntN(6)
		seq := 0
		for range 600 {
			if !stands {
				now = now.Add(2 * activeFor)
			}
			if random.IntN(5) < 3 {
				r, priority := item(fmt.Sprint("ns-", random.IntN(namespaces)), random.IntN(40)), 10*(random.IntN(4)-1)
				if old, waits := model[r]; !waits || priority > old.priority {
					seq++
					model[r] = place{priority, seq}
				}
				q.push(r, priority, now)
			} else if q.eligibleCount() > 0 {
				r, priority := q.pop(now)
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
			if !stands {
				now = now.Add(2 * activeFor)
			}
			if len(out) > 0 && random.IntN(3) == 0 {
				i := random.IntN(len(out))
				if rest, _ := q.release(out[i], now.Add(time.Millisecond)); rest > 0 {
					resting = append(resting, out[i].Namespace)
				}
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
			if stands && random.IntN(9) == 0 && len(resting) > 0 {
				q.resume(resting[0], now)
				resting = resting[1:]
			}
			if !stands && q.eligibleCount() != eligible {
				t.Fatalf("seed %d: %d items may be handed out, the model has %d", seed, q.eligibleCount(), eligible)
			}
		}
		now = now.Add(2 * activeFor)
		for _, name := range resting {
			q.resume(name, now)
		}
		for _, r := range out {
			q.release(r, now)
		}
		for len(model) > 0 {
			now = now.Add(2 * activeFor)
			r, _ := q.pop(now)
			if _, waits := model[r]; !waits {
				t.Fatalf("seed %d: popped %v, which does not wait", seed, r)
			}
			q.release(r, now)
			delete(model, r)
		}
		if len(q.handedOut) != 0 {
			t.Fatalf("seed %d: %d items count as handed out", seed, len(q.handedOut))
		}
		if q.eligibleCount() != 0 || len(q.namespaces) != 0 || len(q.classes) != 0 {
			t.Fatalf("seed %d: the empty queue remembers %d namespaces and %d priorities", seed, len(q.namespaces), len(q.classes))
		}
	}
}

func TestRoundRobin_NamespaceWithBacklogYieldsToOneWithout(t *testing.T) {
	q := newRoundRobin(4)
	for n := range 100 {
		q.push(item("backlog", n), 0, began)
	}
	first, _ := q.pop(began)
	second, _ := q.pop(began)
	q.push(item("neighbour", 0), 10, began)
	neighbour := item("neighbour", 0)
	if got, _ := q.pop(began); got != neighbour {
		t.Fatalf("popped %v, want that of the neighbour", got)
	}

	later := began.Add(50 * time.Millisecond)
	for _, r := range []reconcile.Request{first, second} {
		if rest, another := q.release(r, later); rest != restFactor*50*time.Millisecond || another {
			t.Errorf("rests for %s, another worker %v; want a rest of %d times what the item took", rest, another, restFactor)
		}
		if n := q.eligibleCount(); n != 0 {
			t.Errorf("%d items of a namespace that rests may be handed out", n)
		}
	}
	q.resume("backlog", later)
	if n := q.eligibleCount(); n != 0 {
		t.Errorf("%d items may be handed out although one of two rests is not over", n)
	}
	q.resume("backlog", later)
	third, _ := q.pop(later)
	if n := q.eligibleCount(); third.Namespace != "backlog" || n != 0 {
		t.Errorf("popped %v and %d items may follow; want one at a time", third, n)
	}
	if rest, _ := q.release(neighbour, later); rest != 0 {
		t.Errorf("the neighbour rests for %s", rest)
	}

	quiet := began.Add(2 * activeFor)
	if rest, another := q.release(third, quiet); rest != 0 || !another {
		t.Errorf("rests for %s, another worker %v; want neither a rest nor one at a time once no other namespace has work", rest, another)
	}
}

// TestRoundRobin_LargeBacklogGetsThirdOfShare checks that a namespace does not occupy all workers
// for minutes, which would delay the next item of a neighbour.
func TestRoundRobin_LargeBacklogGetsThirdOfShare(t *testing.T) {
	q := newRoundRobin(9)
	for n := range largeBacklog + 9 {
		q.push(item("backlog", n), 0, began)
	}
	var held []reconcile.Request
	for q.eligibleCount() > 0 {
		r, _ := q.pop(began)
		held = append(held, r)
	}
	if len(held) != 3 {
		t.Errorf("%d items of a large backlog are handed out, want a third of 9", len(held))
	}
	for q.items[item("backlog", largeBacklog+8)] != nil { // until the namespace has few items
		q.release(held[0], began)
		held = held[1:]
		for q.eligibleCount() > 0 {
			r, _ := q.pop(began)
			held = append(held, r)
		}
		if want := len(held); q.namespace("backlog").count < largeBacklog && q.namespace("backlog").count > 0 && want != 9 {
			t.Fatalf("%d items are handed out without a large backlog, want the share of 9", want)
		}
	}
}

func TestRoundRobin_RestIsBounded(t *testing.T) {
	q := newRoundRobin(1)
	for n := range 100 {
		q.push(item("backlog", n), 0, began)
	}
	slow, _ := q.pop(began)
	q.push(item("neighbour", 0), 0, began)
	q.pop(began.Add(time.Minute))
	if rest, _ := q.release(slow, began.Add(time.Minute)); rest != maxRest {
		t.Errorf("rests for %s after an item that took a minute, want %s", rest, maxRest)
	}
}

func TestRoundRobin_EqualBacklogsDoNotYield(t *testing.T) {
	q := newRoundRobin(2)
	for n := range 100 {
		q.push(item("a", n), 0, began)
		q.push(item("b", n), 0, began)
	}
	for range 4 {
		q.pop(began)
	}
	if rest, _ := q.release(item("a", 0), began.Add(time.Millisecond)); rest != 0 {
		t.Errorf("rests for %s beside a namespace with a backlog of its own", rest)
	}
}
