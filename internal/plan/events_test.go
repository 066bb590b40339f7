package plan_test

import (
	"fmt"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

func pick[T any](w *world, from ...T) T { return from[w.rng.IntN(len(from))] }

// events are the events of a token's life, with their relative frequencies.
var events = []struct {
	weight int
	happen func(*world)
}{
	{30, timePasses},
	{20, someoneUses},
	{3, func(w *world) { w.note("the Secret is deleted"); w.secret = slot{} }},
	{3, func(w *world) {
		w.note("the Secret is altered")
		w.secret.altered = w.secret.there && !w.secret.foreign
	}},
	{3, rollBack},
	{2, func(w *world) { w.note("the Secret is foreign"); w.secret = slot{there: true, foreign: true} }},
	{6, func(w *world) {
		if w.secret.foreign {
			w.note("the foreign Secret goes")
			w.secret = slot{}
		}
	}},
	{3, func(w *world) { w.revoke(w.secret.record) }},
	{2, func(w *world) {
		if names := w.names(); len(names) > 0 {
			w.revoke(pick(w, names...))
		}
	}},
	{2, restore},
	{8, editTrigger},
	{8, holderAsks},
	{6, editRotation},
	{5, editLifetime},
	{5, editRetire},
	{4, editGrants},
	{4, func(w *world) {
		w.note("the template is edited")
		w.secret.outdated = w.secret.there && !w.secret.foreign
	}},
	{6, editState},
	{6, editRefusal},
	{6, func(w *world) { w.note("sweep"); w.sweep() }},
	{4, func(w *world) { w.rollout = pick(w, "", "Deployment indexer"); w.note("rollout of %q", w.rollout) }},
	{8, func(w *world) { w.note("nothing; a Git sync") }},
}

// anything makes one random event happen.
func (w *world) anything() {
	total := 0
	for _, e := range events {
		total += e.weight
	}
	n := w.rng.IntN(total)
	for _, e := range events {
		if n -= e.weight; n < 0 {
			e.happen(w)
			w.remember()
			return
		}
	}
}

func timePasses(w *world) {
	p, _ := w.ask()
	step := pick(w, 1, time.Second, 2*time.Minute, 10*time.Minute, time.Hour, day, 40*day)
	step = 1 + time.Duration(w.rng.Int64N(int64(step)))
	if !p.Wake.IsZero() && w.rng.IntN(2) == 0 {
		step = max(0, p.Wake.Sub(w.now)-time.Duration(w.rng.IntN(2)))
	}
	w.now = w.now.Add(step)
	w.note("%s pass", step)
}

// someoneUses uses some of the versions that were delivered and are valid.
func someoneUses(w *world) {
	for _, name := range w.names() {
		if v := w.records[name]; w.delivered[name] && w.want.State == plan.Active && !v.ExpiredAt(w.now) && w.rng.IntN(2) == 0 {
			v.LastUsedAt = w.kept(w.now)
			w.note("%s is used", name)
		}
	}
}

// rollBack restores an earlier Secret, with the token of a predecessor.
func rollBack(w *world) {
	for _, name := range w.names() {
		if v := w.records[name]; w.delivered[name] && !v.SupersededAt.IsZero() && !w.secret.foreign {
			w.note("the Secret of %s comes back", name)
			w.secret = slot{there: true, record: name}
			return
		}
	}
}

func (w *world) revoke(name string) {
	if w.records[name] == nil {
		return
	}
	w.note("the record %s is deleted", name)
	delete(w.records, name)
	w.dead[name] = true
}

func restore(w *world) {
	w.note("everything comes back from a backup")
	for _, name := range w.names() {
		w.records[name].Restored = w.rng.IntN(4) > 0
	}
}

func editTrigger(w *world) {
	w.want.Trigger = fmt.Sprint(w.rng.IntN(4))
	w.triggered = 0
	w.note("trigger %q", w.want.Trigger)
}

// holderAsks requests a rotation for the holder of any existing version, current or not. In one of
// four cases the client forbids it.
func holderAsks(w *world) {
	w.want.SelfForbidden = w.rng.IntN(4) == 0
	if names := w.names(); len(names) > 0 {
		w.want.SelfRequest = pick(w, append(names, w.secret.record, w.secret.record)...)
	}
	w.note("the holder of %s asks for a rotation, forbidden: %v", w.want.SelfRequest, w.want.SelfForbidden)
}

func editRotation(w *world) {
	w.want.Every = pick(w, 0, 0, 90*time.Second, time.Hour, day, 30*day)
	w.want.Schedule = pick[plan.Schedule](w, nil, nil, calendar(time.Hour), calendar(day), once{w.now.Truncate(time.Second).Add(time.Hour)})
	w.note("every %s, schedule %v", w.want.Every, w.want.Schedule)
}

func editLifetime(w *world) {
	w.want.Lifetime = pick(w, 0, 90*time.Second, time.Hour, 36*time.Hour, 90*day)
	w.note("lifetime %s", w.want.Lifetime)
}

func editRetire(w *world) {
	w.want.Retire = plan.Retire{
		When:  pick(w, plan.Unused, plan.Unused, plan.AfterOverlap),
		Min:   pick(w, 0, 10*time.Second, 10*time.Minute),
		Quiet: pick(w, 0, time.Minute, time.Hour),
		Max:   pick(w, 0, time.Minute, time.Hour, day, 300*day),
	}
	w.note("retire %+v", w.want.Retire)
}

func editGrants(w *world) {
	if w.want.Grants == nil {
		return
	}
	g := plan.Grants{
		Client: "acme", Roles: pick(w, nil, []string{"primary"}, []string{"developer", "primary"}),
		Permissions: pick(w, nil, []string{"search.read"}), SourceRanges: pick(w, nil, []string{"10.0.0.0/8"}),
	}
	w.want.Grants = &g
	w.understand()
	w.note("grants %+v", g)
}

// editState never leaves Revoked, which it seldom sets.
func editState(w *world) {
	if w.want.State == plan.Revoked || w.want.Grants == nil {
		return
	}
	w.want.State = pick(w, plan.Active, plan.Active, plan.Suspended)
	if w.rng.IntN(12) == 0 {
		w.want.State = plan.Revoked
	}
	w.understand()
	w.note("state %d", w.want.State)
}

// editRefusal cuts down the grants while the spec is refused, or makes them unknown.
func editRefusal(w *world) {
	g := grants()
	w.want.Refused, w.want.Grants = plan.Refusal{}, &g
	switch w.rng.IntN(4) {
	case 0:
		w.want.Refused = plan.Refusal{Reason: "RoleNotGranted"}
		g.Roles = nil
	case 1:
		w.want.Refused, w.want.Grants = plan.Refusal{Reason: "ClientMissing"}, nil
	}
	if w.want.Grants != nil {
		w.understand()
	}
	w.note("refused %q", w.want.Refused.Reason)
}
