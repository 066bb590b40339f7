package load

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Turns is how often each of several targets has its turn, and how long a turn lasts.
type Turns struct {
	Count  int
	Length time.Duration
	Logf   func(format string, args ...any)
}

// Compare measures all targets in turns, so that other load on the machine affects them alike. It
// returns the median of the turns of each.
func (p Turns) Compare(ctx context.Context, targets ...Target) ([]Result, error) {
	turns := make([][]Result, len(targets))
	for range p.Count {
		for i, c := range targets {
			if c.Before != nil {
				if err := c.Before(ctx); err != nil {
					return nil, err
				}
			}
			v, err := c.Run(ctx, p.Length)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name, err)
			}
			turns[i] = append(turns[i], v)
		}
	}
	medians := make([]Result, len(targets))
	for i, list := range turns {
		slices.SortFunc(list, func(a, b Result) int { return int(a.Rate - b.Rate) })
		medians[i].Rate = list[len(list)/2].Rate
		slices.SortFunc(list, func(a, b Result) int { return int(a.P99 - b.P99) })
		medians[i].P99 = list[len(list)/2].P99
		p.Logf("%s: %.0f a second, p99 %s", targets[i].Name, medians[i].Rate, medians[i].P99)
	}
	return medians, nil
}
