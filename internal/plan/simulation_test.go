package plan_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// simulation is a simulated operator that executes plans on records by name, one Secret and a spec.
// It also remembers what no planner observes, so that invariants can be checked from outside.
type simulation struct {
	t       *testing.T
	rng     *rand.Rand
	now     time.Time
	coarse  bool // records keep whole seconds, as the API does
	want    plan.Desired
	rollout string // consumer whose rollout is incomplete
	secret  secretSlot
	records map[string]*entry
	number  int64

	delivered    map[string]bool      // versions that have been in the Secret
	dead         map[string]bool      // versions that were once expired or revoked
	ends         map[string]time.Time // last ExpiresAt of each superseded version
	triggered    int                  // successors since the trigger changed
	reasonCounts map[plan.Why]int     // how often each reason was returned
	history      []historyEntry
}

// historyEntry is a history entry, formatted only when a test fails.
type historyEntry struct {
	at     time.Time
	format string
	args   []any
}

func (l historyEntry) String() string { return formatTime(l.at) + "  " + formatEvent(l.format, l.args) }

// formatEvent formats like Sprintf, with plans and instants in the notation of this package.
func formatEvent(format string, args []any) string {
	told := slices.Clone(args)
	for i, a := range told {
		switch a := a.(type) {
		case plan.Plan:
			told[i] = formatPlan(a)
		case time.Time:
			told[i] = formatTime(a)
		}
	}
	return fmt.Sprintf(format, told...)
}

type entry struct {
	plan.Version
	created time.Time
}

// secretSlot is the observed state under the Secret's name.
type secretSlot struct {
	there, foreign, altered, outdated bool
	record                            string
}

// crash is the step of Issue at which the simulated operator stops.
type crash int

const (
	noCrash     crash = iota
	afterRecord       // also: another pass wrote the Secret first
	afterSecret
)

func newSimulation(t *testing.T, seed uint64) *simulation {
	w := &simulation{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), now: noon.Add(123456789), coarse: seed%2 == 1,
		records: map[string]*entry{}, delivered: map[string]bool{}, dead: map[string]bool{},
		ends: map[string]time.Time{},
	}
	w.want = base().want
	w.want.Spread = w.rng.Float64()
	w.deriveGrants()
	return w
}

func (w *simulation) logEvent(format string, args ...any) {
	w.history = append(w.history, historyEntry{w.now, format, args})
}

// must fails the test with the whole history if ok is false. The rule is a section number of the
// design or a row of the threat model.
func (w *simulation) must(ok bool, rule, format string, args ...any) {
	if !ok {
		w.t.Helper()
		var told strings.Builder
		for _, l := range w.history {
			fmt.Fprintln(&told, l)
		}
		w.t.Fatalf("%s: %s\nat %s\n%s", rule, formatEvent(format, args), formatTime(w.now), &told)
	}
}

// recorded returns t with the precision of a record.
func (w *simulation) recorded(t time.Time) time.Time {
	if w.coarse && !t.IsZero() {
		return t.Truncate(time.Second)
	}
	return t
}

// deriveGrants derives the grants from the state, as the callers of the planner do.
func (w *simulation) deriveGrants() {
	w.want.Grants.Suspended = w.want.State == plan.Suspended
}

func (w *simulation) found() plan.SecretState {
	switch s := w.secret; {
	case !s.there:
		return plan.SecretAbsent
	case s.foreign:
		return plan.SecretForeign
	case w.records[s.record] == nil:
		return plan.SecretRecordMissing
	case s.altered, !w.records[s.record].SupersededAt.IsZero():
		return plan.SecretAltered
	case s.outdated:
		return plan.SecretOutdated
	default:
		return plan.SecretIntact
	}
}

func (w *simulation) names() []string { return slices.Sorted(maps.Keys(w.records)) }

func (w *simulation) observe() plan.Observed {
	o := plan.Observed{Secret: w.found(), IncompleteRollout: w.rollout}
	for _, name := range w.names() {
		v := w.records[name].Version
		if (o.Secret == plan.SecretOutdated || o.Secret == plan.SecretIntact) && name == w.secret.record {
			o.Current = &v
			continue
		}
		o.Others = append(o.Others, v)
	}
	slices.SortFunc(o.Others, func(a, b plan.Version) int {
		return cmp.Or(b.IssuedAt.Compare(a.IssuedAt), cmp.Compare(b.Number, a.Number))
	})
	return o
}

func (w *simulation) nextPlan() (plan.Plan, plan.Observed) {
	have := w.observe()
	return plan.ForToken(w.now, w.want, have), have
}

func copyOf(g plan.Grants) plan.Grants {
	g.Roles, g.Permissions, g.SourceRanges = slices.Clone(g.Roles), slices.Clone(g.Permissions), slices.Clone(g.SourceRanges)
	return g
}

// act executes p and nothing else.
func (w *simulation) act(p plan.Plan, c crash) {
	w.logEvent("  %s", p)
	v := w.records[p.Version.Record]
	switch p.Do {
	case plan.Issue:
		w.issue(p, c)
	case plan.Supersede:
		v.SupersededAt, v.ExpiresAt = w.recorded(p.SupersededAt), w.recorded(p.ExpiresAt)
	case plan.Change:
		v.Restored, v.ExpiresAt = false, w.recorded(p.ExpiresAt)
		if w.want.Grants != nil {
			v.Grants = copyOf(*w.want.Grants)
		}
	case plan.RetireOne:
		delete(w.records, p.Version.Record)
	case plan.RetireAll:
		clear(w.records)
		if !w.secret.foreign {
			w.secret = secretSlot{}
		}
	case plan.Render:
		w.secret.outdated = false
	}
	w.checkRecords()
}

func (w *simulation) issue(p plan.Plan, c crash) {
	w.number++
	v := plan.Version{
		Record: fmt.Sprintf("at-%04d", w.number), Number: w.number, Trigger: w.want.Trigger, Predecessor: p.Version.Record,
		Grants: copyOf(*w.want.Grants), IssuedAt: w.recorded(w.now), AuthorizedAt: w.recorded(p.AuthorizedAt), ExpiresAt: w.recorded(p.ExpiresAt),
	}
	w.records[v.Record] = &entry{v, w.now}
	if c == afterRecord {
		w.logEvent("  crash: %s is an orphan", v.Record)
		return
	}
	w.secret = secretSlot{there: true, record: v.Record}
	w.delivered[v.Record] = true
	if p.Why == plan.TriggerChanged {
		w.triggered++
	}
}

// checkRecords checks what must hold at every instant, settled or not, and keeps what later checks
// compare with.
func (w *simulation) checkRecords() {
	for _, name := range w.names() {
		v := w.records[name]
		expired := v.ExpiredAt(w.now)
		w.must(expired || !w.dead[name], "§3.3", "%s was dead and lives again, until %s", name, v.ExpiresAt)
		w.dead[name] = expired
		if v.SupersededAt.IsZero() {
			w.must(w.ends[name].IsZero(), "§3.5", "%s was superseded and is no more", name)
			continue
		}
		last, before := w.ends[name]
		w.must(!v.ExpiresAt.IsZero() && (!before || !v.ExpiresAt.After(last)), "§3.5", "the end of %s grew from %s to %s", name, last, v.ExpiresAt)
		w.ends[name] = v.ExpiresAt
	}
	for name := range w.ends {
		if w.records[name] == nil {
			w.dead[name] = true
		}
	}
}

// collectGarbage evaluates every record like the garbage collection of the operator.
func (w *simulation) collectGarbage() {
	named := ""
	if w.secret.there && !w.secret.foreign {
		named = w.secret.record
	}
	for _, name := range w.names() {
		v := w.records[name]
		owner := plan.Owner{Exists: true, Delivered: name == named}
		current := w.records[named]
		owner.Pending = current == nil || !current.SupersededAt.IsZero()
		owner.PredecessorOfCurrent = current != nil && current.Predecessor == name
		p := plan.ForRecord(w.now, v.created, v.Version, owner)
		if p.Do == plan.Nothing {
			continue
		}
		over := !v.SupersededAt.IsZero() && !w.now.Before(v.ExpiresAt.Add(plan.OrphanAge))
		w.must(p.Do == plan.RetireOne && p.Version.Record == name, "garbage collection", "%s", p)
		w.must(name != named, "§3.2", "garbage collection took %s, which is in the Secret", name)
		w.must(over || !w.delivered[name], "row 22", "garbage collection deleted %s, which a consumer may hold", name)
		w.must(over || !w.now.Before(v.created.Add(plan.OrphanAge)), "§3.4", "garbage collection took %s, which may be on its way", name)
		w.reasonCounts[p.Why]++
		w.act(p, noCrash)
	}
}
