package testbed

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Operation is a kind of write.
type Operation struct {
	verb        string
	resource    string
	subresource string
}

func (o Operation) String() string {
	if o.subresource == "" {
		return o.verb + " " + o.resource
	}
	return o.verb + " " + o.resource + "/" + o.subresource
}

// Counts holds how many writes the API server has executed, and how many it has refused.
type Counts struct{ Done, Refused map[Operation]int }

// housekeepingResources lists the resources that the API server writes by itself. No write to them
// counts.
var housekeepingResources = []string{"leases", "endpoints", "endpointslices", "flowschemas", "prioritylevelconfigurations", "apiservices", "configmaps"}

// Writes returns how many writes the API server has answered so far, from all clients together.
func (s *Testbed) Writes(ctx context.Context) (Counts, error) {
	body, err := s.Admin.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return Counts{}, fmt.Errorf("ask the API server for its metrics: %w", err)
	}
	return parseCounts(string(body))
}

// parseCounts parses the writes in the text of the API server's /metrics.
func parseCounts(text string) (Counts, error) {
	c := Counts{map[Operation]int{}, map[Operation]int{}}
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
		op := Operation{label["verb"], label["resource"], label["subresource"]}
		switch {
		case !slices.Contains([]string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}, op.verb):
		case slices.Contains(housekeepingResources, op.resource):
		case strings.HasPrefix(label["code"], "2"):
			c.Done[op] += int(n)
		default:
			c.Refused[op] += int(n)
		}
	}
	return c, nil
}

// Since returns the writes that came after before.
func (c Counts) Since(before Counts) Counts {
	return Counts{minusEach(c.Done, before.Done), minusEach(c.Refused, before.Refused)}
}

func minusEach(now, before map[Operation]int) map[Operation]int {
	diff := map[Operation]int{}
	for op, n := range now {
		if n -= before[op]; n != 0 {
			diff[op] = n
		}
	}
	return diff
}

// Plus returns the sum of c and more.
func (c Counts) Plus(more Counts) Counts {
	return Counts{plusEach(c.Done, more.Done), plusEach(c.Refused, more.Refused)}
}

func plusEach(a, b map[Operation]int) map[Operation]int {
	sum := maps.Clone(b)
	if sum == nil {
		sum = map[Operation]int{}
	}
	for op, n := range a {
		sum[op] += n
	}
	return sum
}

// Total returns how many writes were executed.
func (c Counts) Total() int { return Total(c.Done) }

// Total returns the sum of the numbers of writes.
func Total(of map[Operation]int) int {
	sum := 0
	for _, n := range of {
		sum += n
	}
	return sum
}

// ByFrequency returns the operations, the most frequent first.
func ByFrequency(of map[Operation]int) []Operation {
	return slices.SortedFunc(maps.Keys(of), func(a, b Operation) int {
		return cmp.Or(of[b]-of[a], cmp.Compare(a.String(), b.String()))
	})
}
