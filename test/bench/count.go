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

// counts are the writes that the API server has done, and those that it has refused.
type counts struct{ done, refused map[operation]int }

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
			c.refused[op] += int(n)
		}
	}
	return c, nil
}

// since is what came after before.
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

// and is what both have.
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

// total is how many were done.
func (c counts) total() int { return total(c.done) }

func total(of map[operation]int) int {
	sum := 0
	for _, n := range of {
		sum += n
	}
	return sum
}

// sorted has the most frequent operation first.
func sorted(of map[operation]int) []operation {
	return slices.SortedFunc(maps.Keys(of), func(a, b operation) int {
		return cmp.Or(of[b]-of[a], cmp.Compare(a.String(), b.String()))
	})
}

// rest waits until for three seconds nothing has been written, and the operator had nothing to look at.
func (s *stage) rest(ctx context.Context) (counts, error) {
	return s.restFor(ctx, 3*time.Second, restPatience)
}

// restPatience is how long rest waits. What has not come to rest by then never will, and the numbers tell.
const restPatience = 5 * time.Minute

// restFor waits until for so long nothing has been written, and the operator had nothing to look at. It returns what was written
// up to then, or until patience is over.
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

// activity is what was written so far, and how many passes the operator has made, if it runs.
func (s *stage) activity(ctx context.Context) (counts, float64, error) {
	done, err := s.writes(ctx)
	if err != nil || s.operator == nil {
		return done, 0, err
	}
	passes, err := s.operator.metric(ctx, "controller_runtime_reconcile_total", "")
	return done, passes, err
}
