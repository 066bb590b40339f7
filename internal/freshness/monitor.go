package freshness

import (
	"slices"
	"time"
)

// maxLost is the longest time for which a watch may be lost while the API server answers.
const maxLost = time.Minute

// Limits are the times for which a replica continues to verify.
type Limits struct {
	Lost   time.Duration // with a broken watch, while the API server answers
	Stale  time.Duration // with a connected watch without a sign, while the API server answers; at least Lost
	Outage time.Duration // without an answer of the API server; 0: no limit
}

// minStale is the least time without a sign that exceeds the interval between two signs.
const minStale = 12 * time.Second

// LimitsOf returns the limits that follow from --max-staleness.
func LimitsOf(maxStaleness time.Duration) Limits {
	lost := maxLost
	if maxStaleness != 0 {
		lost = min(maxLost, maxStaleness)
	}
	return Limits{Lost: lost, Stale: max(lost, minStale), Outage: maxStaleness}
}

// Sign is the last instant at which the watch on a kind was known to deliver.
type Sign struct {
	Kind   string
	At     time.Time
	Broken bool // it has had no connection since
}

// Status is the result of a beat.
type Status struct {
	Open    bool      // the replica may verify, until Limits.Outage has passed since Contact
	Fresh   bool      // it is open, and the API server answered since the beat before
	Contact time.Time // when the API server last answered
	// Outage is the last beat at which the API server did not answer. Until there is one, it is the
	// first beat, since earlier outages are not known.
	Outage time.Time
	Lost   []string // kinds whose watches are lost, sorted
	Behind []string // kinds whose watches show no sign since an outage longer than Limits.Outage, sorted

	Limit time.Duration // the shortest limit that a watch in Lost has exceeded; 0: none is lost
}

// Monitor evaluates the watches at each beat. The zero Monitor with Limits is ready to use. It is
// not safe for concurrent use.
type Monitor struct {
	Limits Limits

	last      time.Time                // the beat before
	contact   time.Time                // when the API server last answered
	outage    time.Time                // see Status
	resumed   time.Time                // end of an outage longer than Limits.Outage, until every watch has shown a sign; else zero
	staleness map[string]time.Duration // how long a watch showed no sign while the API server answered
}

// Evaluate evaluates the watches at the instant now. It gets whether the API server answered a
// read, and the last sign of the watch on each kind. A sign is an answer too.
//
// The time without a sign counts only while the API server answers. An outage breaks all watches,
// and they need a moment to recover from it.
func (m *Monitor) Evaluate(now time.Time, answered bool, signs []Sign) Status {
	contact := m.contact
	if answered {
		contact = now
	}
	if !answered || m.outage.IsZero() {
		m.outage = now
	}
	for _, s := range signs {
		if s.At.After(contact) {
			contact = s.At
		}
	}
	fresh := contact.After(m.contact)
	if fresh && m.Limits.Outage > 0 && !m.contact.IsZero() && contact.Sub(m.contact) > m.Limits.Outage {
		m.resumed = contact
	}
	f := Status{Contact: contact, Outage: m.outage}
	if m.staleness == nil {
		m.staleness = map[string]time.Duration{}
	}
	for _, s := range signs {
		switch {
		case s.At.After(m.last):
			m.staleness[s.Kind] = now.Sub(s.At)
		case fresh:
			m.staleness[s.Kind] += now.Sub(m.last)
		}
		limit := m.Limits.Stale
		if s.Broken {
			limit = m.Limits.Lost
		}
		if m.staleness[s.Kind] > limit {
			if len(f.Lost) == 0 || limit < f.Limit {
				f.Limit = limit
			}
			f.Lost = append(f.Lost, s.Kind)
		}
		if !m.resumed.IsZero() && s.At.Before(m.resumed) {
			f.Behind = append(f.Behind, s.Kind)
		}
	}
	slices.Sort(f.Lost)
	slices.Sort(f.Behind)
	if len(f.Behind) == 0 {
		m.resumed = time.Time{}
	}
	m.last, m.contact = now, contact
	f.Open = len(f.Lost)+len(f.Behind) == 0
	f.Fresh = f.Open && fresh
	return f
}
