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

// world is what a correct edge would make of plans: records by name, one Secret, and a spec. It remembers what no planner
// sees, so that what must always hold can be checked from outside.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	now     time.Time
	coarse  bool // records keep whole seconds, as the API does
	want    plan.Desired
	rollout string // of consumers, that is not complete
	secret  slot
	records map[string]*entry
	number  int64

	delivered map[string]bool      // had been in the Secret
	dead      map[string]bool      // was once refused for good
	ends      map[string]time.Time // last ExpiresAt of each superseded version
	triggered int                  // successors since the trigger changed
	heard     map[plan.Why]int     // how often each reason was given
	history   []line
}

// line is one of the history, put into words only where a test fails.
type line struct {
	at     time.Time
	format string
	args   []any
}

func (l line) String() string { return when(l.at) + "  " + tell(l.format, l.args) }

// tell is Sprintf that speaks of plans and instants as this package does.
func tell(format string, args []any) string {
	told := slices.Clone(args)
	for i, a := range told {
		switch a := a.(type) {
		case plan.Plan:
			told[i] = say(a)
		case time.Time:
			told[i] = when(a)
		}
	}
	return fmt.Sprintf(format, told...)
}

type entry struct {
	plan.Version
	created time.Time
}

// slot is what is under the Secret's name.
type slot struct {
	there, foreign, altered, outdated bool
	record                            string
}

// crash says where an edge stops in the middle of Issue.
type crash int

const (
	noCrash     crash = iota
	afterRecord       // also: another pass wrote the Secret first
	afterSecret
)

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), now: noon.Add(123456789), coarse: seed%2 == 1,
		records: map[string]*entry{}, delivered: map[string]bool{}, dead: map[string]bool{},
		ends: map[string]time.Time{},
	}
	w.want = base().want
	w.want.Spread = w.rng.Float64()
	w.understand()
	return w
}

func (w *world) note(format string, args ...any) {
	w.history = append(w.history, line{w.now, format, args})
}

// must ends the test with all that led here where ok is false. The rule is a number of §3 or a row of the threats.
func (w *world) must(ok bool, rule, format string, args ...any) {
	if !ok {
		w.t.Helper()
		var told strings.Builder
		for _, l := range w.history {
			fmt.Fprintln(&told, l)
		}
		w.t.Fatalf("%s: %s\nat %s\n%s", rule, tell(format, args), when(w.now), &told)
	}
}

func (w *world) kept(t time.Time) time.Time {
	if w.coarse && !t.IsZero() {
		return t.Truncate(time.Second)
	}
	return t
}

// understand derives the grants from state and refusal, as an edge does.
func (w *world) understand() {
	w.want.Grants.Suspended = w.want.State == plan.Suspended
}

func (w *world) found() plan.Secret {
	switch s := w.secret; {
	case !s.there:
		return plan.SecretAbsent
	case s.foreign:
		return plan.SecretForeign
	case w.records[s.record] == nil:
		return plan.SecretUnvouched
	case s.altered, !w.records[s.record].SupersededAt.IsZero():
		return plan.SecretAltered
	case s.outdated:
		return plan.SecretOutdated
	default:
		return plan.SecretIntact
	}
}

func (w *world) names() []string { return slices.Sorted(maps.Keys(w.records)) }

func (w *world) see() plan.Observed {
	o := plan.Observed{Secret: w.found(), Rollout: w.rollout}
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

func (w *world) ask() (plan.Plan, plan.Observed) {
	have := w.see()
	return plan.ForToken(w.now, w.want, have), have
}

func copyOf(g plan.Grants) plan.Grants {
	g.Roles, g.Permissions, g.SourceRanges = slices.Clone(g.Roles), slices.Clone(g.Permissions), slices.Clone(g.SourceRanges)
	return g
}

// act does what p says, and nothing else.
func (w *world) act(p plan.Plan, c crash) {
	w.note("  %s", p)
	v := w.records[p.Version.Record]
	switch p.Do {
	case plan.Issue:
		w.issue(p, c)
	case plan.Supersede:
		v.SupersededAt, v.ExpiresAt = w.kept(p.SupersededAt), w.kept(p.ExpiresAt)
	case plan.Change:
		v.Restored, v.ExpiresAt = false, w.kept(p.ExpiresAt)
		if w.want.Grants != nil {
			v.Grants = copyOf(*w.want.Grants)
		}
	case plan.RetireOne:
		delete(w.records, p.Version.Record)
	case plan.RetireAll:
		clear(w.records)
		if !w.secret.foreign {
			w.secret = slot{}
		}
	case plan.Render:
		w.secret.outdated = false
	}
	w.remember()
}

func (w *world) issue(p plan.Plan, c crash) {
	w.number++
	v := plan.Version{
		Record: fmt.Sprintf("at-%04d", w.number), Number: w.number, Trigger: w.want.Trigger, Predecessor: p.Version.Record,
		Grants: copyOf(*w.want.Grants), IssuedAt: w.kept(w.now), AuthorizedAt: w.kept(p.AuthorizedAt), ExpiresAt: w.kept(p.ExpiresAt),
	}
	w.records[v.Record] = &entry{v, w.now}
	if c == afterRecord {
		w.note("  crash: %s is litter", v.Record)
		return
	}
	w.secret = slot{there: true, record: v.Record}
	w.delivered[v.Record] = true
	if p.Why == plan.TriggerChanged {
		w.triggered++
	}
}

// remember checks what holds at every instant, settled or not, and keeps what it must be compared with later.
func (w *world) remember() {
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

// sweep judges every record as the sweeper does.
func (w *world) sweep() {
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
		over := !v.SupersededAt.IsZero() && !w.now.Before(v.ExpiresAt.Add(plan.LitterAge))
		w.must(p.Do == plan.RetireOne && p.Version.Record == name, "sweep", "%s", p)
		w.must(name != named, "§3.2", "the sweep took %s, which is in the Secret", name)
		w.must(over || !w.delivered[name], "row 22", "the sweep took %s, which somebody may hold", name)
		w.must(over || !w.now.Before(v.created.Add(plan.LitterAge)), "§3.4", "the sweep took %s, which may be on its way", name)
		w.heard[p.Why]++
		w.act(p, noCrash)
	}
}
