package audit

import (
	"cmp"
	"io"
	"slices"
	"sync"
	"time"
)

// Log writes audit lines. It is safe for concurrent use. A nil Log writes nothing.
type Log struct {
	now func() time.Time

	mu     sync.Mutex // serializes lines, so that they do not interleave
	out    io.Writer
	limits *limits
}

// New returns a Log that writes each line to a writer at once, in one call.
func New(to io.Writer, now func() time.Time) *Log {
	return &Log{now: now, out: to, limits: newLimits()}
}

// Write writes a line regardless of limits.
func (l *Log) Write(line Line) {
	if l != nil {
		l.write(l.now(), line)
	}
}

// WriteLimited writes a line that callers can cause without end, unless its limits suppress it. See
// limits.
func (l *Log) WriteLimited(line Line) {
	if l == nil {
		return
	}
	now := l.now()
	if stands, ok := l.limits.admit(now, line); ok {
		if stands > 1 {
			line.Count = stands
		}
		l.write(now, line)
	}
}

// Flush writes a summary of the lines that were suppressed since the last one: a line for each
// event, endpoint and verdict.
func (l *Log) Flush() {
	if l == nil {
		return
	}
	now := l.now()
	for _, line := range l.limits.takeSummaries() {
		l.write(now, line)
	}
}

func (l *Log) write(now time.Time, line Line) {
	text, err := line.encode(now)
	if err != nil {
		return // unreachable: the types always marshal
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.out.Write(text) //nolint:errcheck // there is no other place to report the error
}

// summaryInterval is the time between summaries, if lines were suppressed.
const summaryInterval = 10 * time.Second

// WriteSummaries writes summaries until done is closed, and then a last one.
func (l *Log) WriteSummaries(done <-chan struct{}) {
	tick := time.NewTicker(summaryInterval)
	defer tick.Stop()
	defer l.Flush()
	for {
		select {
		case <-tick.C:
			l.Flush()
		case <-done:
			return
		}
	}
}

// takeSummaries returns a summary line for each group with suppressed lines, and resets the counts.
func (m *limits) takeSummaries() []Line {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Line
	for g, n := range m.suppressedCounts {
		all = append(all, Line{Event: Suppressed, CountedEvent: g.event, Endpoint: g.endpoint, Verdict: g.verdict, Count: n})
	}
	clear(m.suppressedCounts)
	slices.SortFunc(all, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.CountedEvent, b.CountedEvent), cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Verdict, b.Verdict))
	})
	return all
}
