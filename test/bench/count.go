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

// operation is a sort of write.
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

// counts are the writes that the API server has done, and how many it has refused.
type counts struct {
	done    map[operation]int
	refused int
}

// housekeeping is what the API server writes by itself.
var housekeeping = []string{"leases", "endpoints", "endpointslices", "flowschemas", "prioritylevelconfigurations", "apiservices", "configmaps"}

// writes asks the API server how many writes it has answered, whosever they were.
func (s *stage) writes(ctx context.Context) (counts, error) {
	body, err := s.admin.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return counts{}, fmt.Errorf("ask the API server for its metrics: %w", err)
	}
	return read(string(body))
}

// read finds the writes in what the API server says at /metrics.
func read(text string) (counts, error) {
	c := counts{done: map[operation]int{}}
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
		for pair := range strings.SplitSeq(series, ",") { // none of the values that matter holds a comma
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
			c.refused += int(n)
		}
	}
	return c, nil
}

// since is what came after before.
func (c counts) since(before counts) counts {
	diff := counts{done: map[operation]int{}, refused: c.refused - before.refused}
	for op, n := range c.done {
		if n -= before.done[op]; n != 0 {
			diff.done[op] = n
		}
	}
	return diff
}

// and is what both have.
func (c counts) and(more counts) counts {
	sum := counts{done: maps.Clone(more.done), refused: c.refused + more.refused}
	for op, n := range c.done {
		sum.done[op] += n
	}
	return sum
}

func (c counts) total() int {
	sum := 0
	for _, n := range c.done {
		sum += n
	}
	return sum
}

// sorted has the most frequent operation first.
func (c counts) sorted() []operation {
	return slices.SortedFunc(maps.Keys(c.done), func(a, b operation) int {
		return cmp.Or(c.done[b]-c.done[a], cmp.Compare(a.String(), b.String()))
	})
}

// rest waits until for three seconds nothing has been written, and the operator had nothing to look at.
func (s *stage) rest(ctx context.Context) (counts, error) { return s.restFor(ctx, 3*time.Second) }

// restFor waits until for so long nothing has been written, and the operator had nothing to look at. It returns what was written
// up to then. What has not come to rest after five minutes never will, and the numbers tell.
func (s *stage) restFor(ctx context.Context, quiet time.Duration) (counts, error) {
	const patience = 5 * time.Minute
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

// activity is what was written so far, and how many passes the operator has made, if it runs.
func (s *stage) activity(ctx context.Context) (counts, float64, error) {
	done, err := s.writes(ctx)
	if err != nil || s.operator == nil {
		return done, 0, err
	}
	passes, err := s.operator.metric(ctx, "controller_runtime_reconcile_total", "")
	return done, passes, err
}
