package plan_test

import (
	"fmt"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

func pick[T any](w *simulation, from ...T) T { return from[w.rng.IntN(len(from))] }

// events are the events of a token's life, with their relative frequencies.
var events = []struct {
	weight int
	happen func(*simulation)
}{
	{30, timePasses},
	{20, someoneUses},
	{3, func(w *simulation) { w.logEvent("the Secret is deleted"); w.secret = secretSlot{} }},
	{3, func(w *simulation) {
		w.logEvent("the Secret is altered")
		w.secret.altered = w.secret.there && !w.secret.foreign
	}},
	{3, rollBack},
	{2, func(w *simulation) {
		w.logEvent("the Secret is foreign")
		w.secret = secretSlot{there: true, foreign: true}
	}},
	{6, func(w *simulation) {
		if w.secret.foreign {
			w.logEvent("the foreign Secret goes")
			w.secret = secretSlot{}
		}
	}},
	{3, func(w *simulation) { w.revoke(w.secret.record) }},
	{2, func(w *simulation) {
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
	{4, func(w *simulation) {
		w.logEvent("the template is edited")
		w.secret.outdated = w.secret.there && !w.secret.foreign
	}},
	{6, editState},
	{6, editRefusal},
	{6, func(w *simulation) { w.logEvent("garbage collection"); w.collectGarbage() }},
	{4, func(w *simulation) {
		w.rollout = pick(w, "", "Deployment indexer")
		w.logEvent("rollout of %q", w.rollout)
	}},
	{8, func(w *simulation) { w.logEvent("nothing; a Git sync") }},
}

// randomEvent makes one random event happen.
func (w *simulation) randomEvent() {
	total := 0
	for _, e := range events {
		total += e.weight
	}
	n := w.rng.IntN(total)
	for _, e := range events {
		if n -= e.weight; n < 0 {
			e.happen(w)
			w.checkRecords()
			return
		}
	}
}

func timePasses(w *simulation) {
	p, _ := w.nextPlan()
	step := pick(w, 1, time.Second, 2*time.Minute, 10*time.Minute, time.Hour, day, 40*day)
	step = 1 + time.Duration(w.rng.Int64N(int64(step)))
	if !p.Wake.IsZero() && w.rng.IntN(2) == 0 {
		step = max(0, p.Wake.Sub(w.now)-time.Duration(w.rng.IntN(2)))
	}
	w.now = w.now.Add(step)
	w.logEvent("%s pass", step)
}

// someoneUses uses some of the versions that were delivered and are valid.
func someoneUses(w *simulation) {
	for _, name := range w.names() {
		if v := w.records[name]; w.delivered[name] && w.want.State == plan.Active && !v.ExpiredAt(w.now) && w.rng.IntN(2) == 0 {
			v.LastUsedAt = w.recorded(w.now)
			w.logEvent("%s is used", name)
		}
	}
}

// rollBack restores an earlier Secret, with the token of a predecessor.
func rollBack(w *simulation) {
	for _, name := range w.names() {
		if v := w.records[name]; w.delivered[name] && !v.SupersededAt.IsZero() && !w.secret.foreign {
			w.logEvent("the Secret of %s comes back", name)
			w.secret = secretSlot{there: true, record: name}
			return
		}
	}
}

func (w *simulation) revoke(name string) {
	if w.records[name] == nil {
		return
	}
	w.logEvent("the record %s is deleted", name)
	delete(w.records, name)
	w.dead[name] = true
}

func restore(w *simulation) {
	w.logEvent("everything comes back from a backup")
	for _, name := range w.names() {
		w.records[name].Restored = w.rng.IntN(4) > 0
	}
}

func editTrigger(w *simulation) {
	w.want.Trigger = fmt.Sprint(w.rng.IntN(4))
	w.triggered = 0
	w.logEvent("trigger %q", w.want.Trigger)
}

// holderAsks requests a rotation for the holder of any existing version, current or not. In one of
// four cases the client forbids it.
func holderAsks(w *simulation) {
	w.want.SelfRotationForbidden = w.rng.IntN(4) == 0
	if names := w.names(); len(names) > 0 {
		w.want.SelfRequest = pick(w, append(names, w.secret.record, w.secret.record)...)
	}
	w.logEvent("the holder of %s asks for a rotation, forbidden: %v", w.want.SelfRequest, w.want.SelfRotationForbidden)
}

func editRotation(w *simulation) {
	w.want.Every = pick(w, 0, 0, 90*time.Second, time.Hour, day, 30*day)
	w.want.Schedule = pick[plan.Schedule](w, nil, nil, calendar(time.Hour), calendar(day), singleInstant{w.now.Truncate(time.Second).Add(time.Hour)})
	w.logEvent("every %s, schedule %v", w.want.Every, w.want.Schedule)
}

func editLifetime(w *simulation) {
	w.want.Lifetime = pick(w, 0, 90*time.Second, time.Hour, 36*time.Hour, 90*day)
	w.logEvent("lifetime %s", w.want.Lifetime)
}

func editRetire(w *simulation) {
	w.want.Retire = plan.Retire{
		When:  pick(w, plan.RetireUnused, plan.RetireUnused, plan.RetireAfterOverlap),
		Min:   pick(w, 0, 10*time.Second, 10*time.Minute),
		Quiet: pick(w, 0, time.Minute, time.Hour),
		Max:   pick(w, 0, time.Minute, time.Hour, day, 300*day),
	}
	w.logEvent("retire %+v", w.want.Retire)
}

func editGrants(w *simulation) {
	if w.want.Grants == nil {
		return
	}
	g := plan.Grants{
		Client: "acme", Roles: pick(w, nil, []string{"primary"}, []string{"developer", "primary"}),
		Permissions: pick(w, nil, []string{"search.read"}), SourceRanges: pick(w, nil, []string{"10.0.0.0/8"}),
	}
	w.want.Grants = &g
	w.deriveGrants()
	w.logEvent("grants %+v", g)
}

// editState never leaves Revoked, which it seldom sets.
func editState(w *simulation) {
	if w.want.State == plan.Revoked || w.want.Grants == nil {
		return
	}
	w.want.State = pick(w, plan.Active, plan.Active, plan.Suspended)
	if w.rng.IntN(12) == 0 {
		w.want.State = plan.Revoked
	}
	w.deriveGrants()
	w.logEvent("state %d", w.want.State)
}

// editRefusal cuts down the grants while the spec is refused, or makes them unknown.
func editRefusal(w *simulation) {
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
		w.deriveGrants()
	}
	w.logEvent("refused %q", w.want.Refused.Reason)
}
