package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// operation is a kind of write.
type operation struct {
	verb        string
	resource    string
	subresource string
}

func (o operation) String() string {
	if o.subresource == "" {
		return o.verb + " " + o.resource
	}
	return o.verb + " " + o.resource + "/" + o.subresource
}

// counts holds how many writes the API server has executed, and how many it has refused.
type counts struct{ done, refused map[operation]int }

// housekeeping lists the resources that the API server writes by itself. No write to them counts.
var housekeeping = []string{"leases", "endpoints", "endpointslices", "flowschemas", "prioritylevelconfigurations", "apiservices", "configmaps"}

// writes returns how many writes the API server has answered so far, from all clients together.
func (s *stage) writes(ctx context.Context) (counts, error) {
	body, err := s.admin.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return counts{}, fmt.Errorf("ask the API server for its metrics: %w", err)
	}
	return read(string(body))
}

// read parses the writes in the text of the API server's /metrics.
func read(text string) (counts, error) {
	c := counts{map[operation]int{}, map[operation]int{}}
	for line := range strings.Lines(text) {
		inside, ok := strings.CutPrefix(line, "apiserver_request_total{")
		if !ok {
			continue
		}
		series, value, ok := strings.Cut(strings.TrimSpace(inside), "} ")
		n, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil {
			return c, fmt.Errorf("the API server says something else than a number: %q", line)
		}
		label := map[string]string{}
		for pair := range strings.SplitSeq(series, ",") { // no value that is needed holds a comma
			key, quoted, _ := strings.Cut(pair, "=")
			label[key] = strings.Trim(quoted, `"`)
		}
		op := operation{label["verb"], label["resource"], label["subresource"]}
		switch {
		case !slices.Contains([]string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}, op.verb):
		case slices.Contains(housekeeping, op.resource):
		case strings.HasPrefix(label["code"], "2"):
			c.done[op] += int(n)
		default:
			c.refused[op] += int(n)
		}
	}
	return c, nil
}

// since returns the writes that came after before.
func (c counts) since(before counts) counts {
	return counts{less(c.done, before.done), less(c.refused, before.refused)}
}

func less(now, before map[operation]int) map[operation]int {
	diff := map[operation]int{}
	for op, n := range now {
		if n -= before[op]; n != 0 {
			diff[op] = n
		}
	}
	return diff
}

// and returns the sum of c and more.
func (c counts) and(more counts) counts {
	return counts{plus(c.done, more.done), plus(c.refused, more.refused)}
}

func plus(a, b map[operation]int) map[operation]int {
	sum := maps.Clone(b)
	if sum == nil {
		sum = map[operation]int{}
	}
	for op, n := range a {
		sum[op] += n
	}
	return sum
}

// total returns how many writes were executed.
func (c counts) total() int { return total(c.done) }

func total(of map[operation]int) int {
	sum := 0
	for _, n := range of {
		sum += n
	}
	return sum
}

// sorted returns the operations, the most frequent first.
func sorted(of map[operation]int) []operation {
	return slices.SortedFunc(maps.Keys(of), func(a, b operation) int {
		return cmp.Or(of[b]-of[a], cmp.Compare(a.String(), b.String()))
	})
}

// rest waits for three seconds without a write and without a pass of a reconciler. See restFor.
func (s *stage) rest(ctx context.Context) (counts, error) {
	return s.restFor(ctx, 3*time.Second, restPatience)
}

// restPatience limits rest. If the system never comes to rest, the numbers show it.
const restPatience = 5 * time.Minute

// restFor waits until, for the time quiet, nothing is written and no reconciler of the operator
// runs a pass. It returns the writes up to then, or after patience.
func (s *stage) restFor(ctx context.Context, quiet, patience time.Duration) (counts, error) {
	last, passes, err := s.activity(ctx)
	if err != nil {
		return last, err
	}
	began := time.Now()
	since := began
	for time.Since(since) < quiet && time.Since(began) < patience {
		if err := pause(ctx, time.Second); err != nil {
			return last, err
		}
		now, passed, err := s.activity(ctx)
		if err != nil {
			return last, err
		}
		if now.total() != last.total() || passed != passes {
			last, passes, since = now, passed, time.Now()
		}
	}
	return last, nil
}

// activity returns the writes so far and, if the operator runs, how many passes its reconcilers
// have made.
func (s *stage) activity(ctx context.Context) (counts, float64, error) {
	done, err := s.writes(ctx)
	if err != nil || s.operator == nil {
		return done, 0, err
	}
	passes, err := s.operator.metric(ctx, "controller_runtime_reconcile_total", "")
	return done, passes, err
}
