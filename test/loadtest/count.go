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

// housekeepingResources lists the resources that the API server writes by itself. No write to them
// counts.
var housekeepingResources = []string{"leases", "endpoints", "endpointslices", "flowschemas", "prioritylevelconfigurations", "apiservices", "configmaps"}

// writes returns how many writes the API server has answered so far, from all clients together.
func (s *testbed) writes(ctx context.Context) (counts, error) {
	body, err := s.admin.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return counts{}, fmt.Errorf("ask the API server for its metrics: %w", err)
	}
	return parseCounts(string(body))
}

// parseCounts parses the writes in the text of the API server's /metrics.
func parseCounts(text string) (counts, error) {
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
		case slices.Contains(housekeepingResources, op.resource):
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
	return counts{minusEach(c.done, before.done), minusEach(c.refused, before.refused)}
}

func minusEach(now, before map[operation]int) map[operation]int {
	diff := map[operation]int{}
	for op, n := range now {
		if n -= before[op]; n != 0 {
			diff[op] = n
		}
	}
	return diff
}

// plus returns the sum of c and more.
func (c counts) plus(more counts) counts {
	return counts{plusEach(c.done, more.done), plusEach(c.refused, more.refused)}
}

func plusEach(a, b map[operation]int) map[operation]int {
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

// byFrequency returns the operations, the most frequent first.
func byFrequency(of map[operation]int) []operation {
	return slices.SortedFunc(maps.Keys(of), func(a, b operation) int {
		return cmp.Or(of[b]-of[a], cmp.Compare(a.String(), b.String()))
	})
}

// waitQuiet waits for three seconds without a write and without a pass of a reconciler. See
// waitQuietFor.
func (s *testbed) waitQuiet(ctx context.Context) (counts, error) {
	return s.waitQuietFor(ctx, 3*time.Second, restPatience)
}

// restPatience limits rest. If the system never comes to rest, the numbers show it.
const restPatience = 5 * time.Minute

// waitQuietFor waits until, for the time quiet, nothing is written and no reconciler of the
// operator runs a pass. It returns the writes up to then, or after patience.
func (s *testbed) waitQuietFor(ctx context.Context, quiet, patience time.Duration) (counts, error) {
	last, passes, err := s.activity(ctx)
	if err != nil {
		return last, err
	}
	began := time.Now()
	since := began
	for time.Since(since) < quiet && time.Since(began) < patience {
		if err := sleep(ctx, time.Second); err != nil {
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

// tokenPasses returns how many passes the reconciler of ApplicationTokens has made.
func (s *testbed) tokenPasses(ctx context.Context) (float64, error) {
	return s.operator.metric(ctx, "controller_runtime_reconcile_total", `controller="applicationtoken`)
}

// activity returns the writes so far and, if the operator runs, how many passes its reconcilers
// have made.
func (s *testbed) activity(ctx context.Context) (counts, float64, error) {
	done, err := s.writes(ctx)
	if err != nil || s.operator == nil {
		return done, 0, err
	}
	passes, err := s.operator.metric(ctx, "controller_runtime_reconcile_total", "")
	return done, passes, err
}
