package freshness

import (
	"slices"
	"time"
)

// maxLost is how long a watch may be lost at most while the API server answers.
const maxLost = time.Minute

// Limits are how long a replica goes on verifying.
type Limits struct {
	Lost   time.Duration // with a watch that is broken, while the API server answers
	Silent time.Duration // with a watch that is connected and shows no sign, while the API server answers; at least Lost
	Outage time.Duration // without an answer of the API server; 0: for ever
}

// minSilent is the least time without a sign that is more than the pause between two signs.
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
	Broken bool // it has no connection since
}

// Finding is what a beat has found out.
type Finding struct {
	Open    bool      // the replica may go on verifying, unless Limits.Outage has passed since Contact
	Fresh   bool      // the API server answered since the beat before, and what is known is up to date within Limits.Lost
	Contact time.Time // when the API server last answered
	Outage  time.Time // the last beat at which the API server did not answer; the first beat, until there is one: what was before is not known
	Lost    []string  // kinds whose watches are lost, in order
	Behind  []string  // kinds whose watches have shown no sign since an outage that was too long, in order
}

// Monitor follows the watches from beat to beat. The zero Monitor with Limits is ready; it is not for concurrent use.
type Monitor struct {
	Limits Limits

	last    time.Time                // the beat before
	contact time.Time                // when the API server last answered
	outage  time.Time                // see Finding
	resumed time.Time                // the end of an outage that was too long; zero: there was none, or every watch has shown a sign since
	unseen  map[string]time.Duration // for how long the API server answered and the watch on a kind showed no sign
}

// Beat takes in whether the API server answered a read at the instant now, and the last sign of the watch on each kind. A sign
// is an answer too.
//
// The time without a sign counts while the API server answers, and no other: an outage takes all watches along, and they
// need a moment after it.
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
