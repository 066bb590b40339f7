package password

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// testSource returns the source with that number.
func testSource(name byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, name}), 32)
}

// queueOfSources returns a queue of checks in order of arrival; each letter is the source of one
// check.
func queueOfSources(came string) (q *queue, all []*waiter) {
	q = &queue{}
	for i := range len(came) {
		w := &waiter{pair: pair{source: testSource(came[i])}, slots: int64(i)} // slots number the checks
		q.push(w)
		all = append(all, w)
	}
	return q, all
}

// drain empties a queue, and returns the letters of the sources in the order of service.
func (q *queue) drain() string {
	var order strings.Builder
	for q.peek() != nil {
		order.WriteByte(q.pop().source.Addr().As4()[3])
	}
	return order.String()
}

func TestQueue_SourcesTakeTurns(t *testing.T) {
	for came, want := range map[string]string{
		"":              "",
		"a":             "a",
		"aaa":           "aaa",
		"abc":           "abc",
		"aaaaaaaab":     "abaaaaaaa",
		"aaaabbc":       "abcabaa",
		"abababab":      "abababab",
		"baaaa":         "baaaa",
		"aaaabbbbccccd": "abcdabcabcabc",
	} {
		q, _ := queueOfSources(came)
		if got := q.drain(); got != want || q.size != 0 || len(q.sourceQueues) != 0 {
			t.Errorf("%s is served as %s, want %s; %d left in %d lines", came, got, want, q.size, len(q.sourceQueues))
		}
	}
}

func TestQueue_SourceIsServedInOrder(t *testing.T) {
	q, _ := queueOfSources("aabbabab")
	last := map[netip.Prefix]int64{}
	for q.peek() != nil {
		w := q.pop()
		if before, some := last[w.source]; some && before > w.slots {
			t.Errorf("number %d of %s is served after number %d", w.slots, w.source, before)
		}
		last[w.source] = w.slots
	}
}

// A source that comes back after its turn gets its next turn after all other waiting sources.
func TestQueue_ReturningSourceGoesBehindOthers(t *testing.T) {
	q, _ := queueOfSources("ab")
	for range 3 {
		for _, want := range "ab" {
			w := q.pop()
			if w.source != testSource(byte(want)) {
				t.Fatalf("%s has its turn, want %c", w.source, want)
			}
			q.push(&waiter{pair: w.pair})
		}
	}
}

func TestQueue_RemovesWaiter(t *testing.T) {
	for name, x := range map[string]struct {
		came  string
		leave []int
		want  string
	}{
		"the first of all":  {"aab", []int{0}, "ab"},
		"the last":          {"aab", []int{2}, "aa"},
		"all of a source":   {"abab", []int{0, 2}, "bb"},
		"one in the middle": {"aaabb", []int{1}, "abab"},
		"all, backwards":    {"abc", []int{2, 1, 0}, ""},
	} {
		q, all := queueOfSources(x.came)
		for _, i := range x.leave {
			q.remove(all[i])
			if all[i].isQueued {
				t.Errorf("%s: it is still queued", name)
			}
		}
		if got := q.drain(); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
}

func TestQueue_LongestSourceMakesRoom(t *testing.T) {
	for name, x := range map[string]struct {
		came string
		by   byte
		want int // number of the check that is displaced; -1: none
	}{
		"no check waits":                    {"", 'x', -1},
		"one each":                          {"abc", 'x', -1},
		"one has two, for a new one":        {"abcb", 'x', 3},
		"one has two, for one that has one": {"abb", 'a', -1},
		"one has three, for one of one":     {"abbb", 'a', 3},
		"the longest is its own":            {"aaab", 'a', -1},
		"the youngest of the longest":       {"aabbba", 'x', 5},
	} {
		q, all := queueOfSources(x.came)
		got := q.displaceable(testSource(x.by))
		if x.want < 0 && got != nil || x.want >= 0 && got != all[x.want] {
			t.Errorf("%s: %+v, want number %d", name, got, x.want)
		}
	}
}

// For every order of arrivals and departures no check is lost. Between two checks of one waiting
// source, each other source is served at most once.
func TestQueue_IsFairInAnyOrder(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		q, waiting := &queue{}, []*waiter{}
		passed := map[netip.Prefix]map[netip.Prefix]int{} // by waiting source: how often other sources were served meanwhile
		for range 300 {
			switch n := random.IntN(3); {
			case n == 0 || len(waiting) == 0:
				w := &waiter{pair: pair{source: testSource("abcdef"[random.IntN(6)])}}
				if q.queueOf(w.source) == nil {
					passed[w.source] = map[netip.Prefix]int{}
				}
				q.push(w)
				waiting = append(waiting, w)
			case n == 1:
				i := random.IntN(len(waiting))
				q.remove(waiting[i])
				waiting = slices.Delete(waiting, i, i+1)
			default:
				w := q.pop()
				waiting = slices.DeleteFunc(waiting, func(x *waiter) bool { return x == w })
				passed[w.source] = map[netip.Prefix]int{}
				for _, l := range q.sourceQueues {
					if l.source != w.source {
						passed[l.source][w.source]++
					}
				}
			}
			for _, l := range q.sourceQueues {
				for other, times := range passed[l.source] {
					if times > 1 {
						t.Fatalf("seed %d: %s is served %d times while %s waits", seed, other, times, l.source)
					}
				}
			}
			if q.size != len(waiting) {
				t.Fatalf("seed %d: %d wait, want %d", seed, q.size, len(waiting))
			}
		}
		if got := len(q.drain()); got != len(waiting) {
			t.Fatalf("seed %d: %d are served, want %s", seed, got, fmt.Sprint(len(waiting)))
		}
	}
}
