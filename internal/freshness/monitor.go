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
	Silent time.Duration // with a connected watch without a sign, while the API server answers; at least Lost
	Outage time.Duration // without an answer of the API server; 0: no limit
}

// minSilent is the least time without a sign that exceeds the interval between two signs.
const minSilent = 12 * time.Second

// LimitsOf returns the limits that follow from --max-staleness.
func LimitsOf(maxStaleness time.Duration) Limits {
	lost := maxLost
	if maxStaleness != 0 {
		lost = min(maxLost, maxStaleness)
	}
	return Limits{Lost: lost, Silent: max(lost, minSilent), Outage: maxStaleness}
}

// Sign is the last instant at which the watch on a kind was known to deliver.
type Sign struct {
	Kind   string
	At     time.Time
	Broken bool // it has had no connection since
}

// Finding is the result of a beat.
type Finding struct {
	Open    bool      // the replica may continue to verify, unless Limits.Outage has passed since Contact
	Fresh   bool      // the replica is open, and the API server answered since the beat before
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

	last    time.Time                // the beat before
	contact time.Time                // when the API server last answered
	outage  time.Time                // see Finding
	resumed time.Time                // end of an outage longer than Limits.Outage, until every watch has shown a sign; else zero
	unseen  map[string]time.Duration // how long a watch showed no sign while the API server answered
}

// Beat evaluates the watches at the instant now. It gets whether the API server answered a read,
// and the last sign of the watch on each kind. A sign is an answer too.
//
// The time without a sign counts only while the API server answers. An outage breaks all watches,
// and they need a moment to recover from it.
func (m *Monitor) Beat(now time.Time, answered bool, signs []Sign) Finding {
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
	f := Finding{Contact: contact, Outage: m.outage}
	if m.unseen == nil {
		m.unseen = map[string]time.Duration{}
	}
	for _, s := range signs {
		switch {
		case s.At.After(m.last):
			m.unseen[s.Kind] = now.Sub(s.At)
		case fresh:
			m.unseen[s.Kind] += now.Sub(m.last)
		}
		limit := m.Limits.Silent
		if s.Broken {
			limit = m.Limits.Lost
		}
		if m.unseen[s.Kind] > limit {
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
