package plan_test

import (
	"fmt"
	"testing"

	"github.com/apptoken/operator/internal/plan"
)

const (
	lifecycles         = 2000
	eventsPerLifecycle = 60
	maxSteps           = 32
)

// TestLifecycle_InvariantsHold checks the invariants after any sequence of events and crashes. To
// repeat one life, run go test -run 'TestLifecycle_InvariantsHold/seed=17$'.
func TestLifecycle_InvariantsHold(t *testing.T) {
	lived, reasonCounts := 0, map[plan.Why]int{}
	for seed := range uint64(lifecycles) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w := newSimulation(t, seed)
			w.reasonCounts = reasonCounts
			for range eventsPerLifecycle {
				w.randomEvent()
				switch n := w.rng.IntN(10); {
				case n < 6:
					w.settle()
				case n < 8:
					w.runPass(1+w.rng.IntN(2), pick(w, afterRecord, afterSecret))
				case n < 9:
					w.runPass(2*maxSteps, afterRecord)
				}
			}
			w.runToEnd()
			lived++
		})
	}
	for _, why := range []plan.Why{
		plan.FirstIssue, plan.SecretGone, plan.SecretChanged, plan.RecordMissing, plan.SecretTaken, plan.TriggerChanged, plan.RotationDue,
		plan.ExpiryNear, plan.Superseded, plan.OwnerRestored, plan.GrantsChanged, plan.ExpiryChanged, plan.TemplateChanged,
		plan.PredecessorUnused, plan.OverlapOver, plan.OverlapOverInUse, plan.TooManyPredecessors, plan.IsSuspended, plan.IsRevoked,
		plan.IsExpired, plan.UpToDate, plan.SelfRequested, plan.RotationPending, plan.Orphan, plan.RecordExpired, "RoleNotGranted", "ClientMissing",
	} {
		if lived == lifecycles && reasonCounts[why] < lifecycles/100 {
			t.Errorf("in %d lives %s occurred only %d times", lifecycles, why, reasonCounts[why])
		}
	}
}

// runPass runs a pass that stops after some steps, or in the middle of its first Issue. It reports
// whether nothing was left to do.
func (w *simulation) runPass(steps int, c crash) bool {
	for range steps {
		p, have := w.nextPlan()
		w.checkPlan(p, have)
		w.reasonCounts[p.Why]++
		if p.Do == plan.Nothing {
			return true
		}
		w.act(p, c)
		if p.Do == plan.Issue && c != noCrash {
			return false
		}
	}
	return false
}

// settle asks for a plan and executes it until the plan is Nothing, and checks the invariants of
// that state.
func (w *simulation) settle() {
	w.must(w.runPass(maxSteps, noCrash), "§3.4", "not settled after %d steps", maxSteps)
	p, have := w.nextPlan()
	again, _ := w.nextPlan()
	w.must(p.Do == plan.Nothing && formatPlan(p) == formatPlan(again), "§3.4", "settled, and then %s", p)
	w.logEvent("  %s", p)
	w.checkWake(p, have)
	w.checkSettled(p, have)
}

// checkSettled checks what must hold for a token that needs nothing.
func (w *simulation) checkSettled(p plan.Plan, have plan.Observed) {
	switch {
	case w.want.State == plan.Revoked:
		w.must(len(w.records) == 0 && (!w.secret.there || w.secret.foreign), "§3.7", "revoked, and something is left: %v, %+v", w.names(), w.secret)
		return
	case w.want.Refused.Reason != "" || w.want.State == plan.Suspended || w.secret.foreign:
		for _, v := range w.records {
			w.must(w.want.Grants == nil || v.Grants.Suspended == w.want.Grants.Suspended, "§3.7", "%s does not follow the state", v.Record)
		}
		return
	}
	c := have.Current
	w.must(c != nil, "§3.2", "no live record vouches for the Secret: %+v", w.secret)
	waits := p.Why == plan.RotationPending
	w.must(c.Trigger == w.want.Trigger || c.ExpiredAt(w.now) || waits, "§3.4", "the trigger %q was not answered", w.want.Trigger)
	w.must(c.Record != w.want.SelfRequest || w.want.SelfRotationForbidden || c.ExpiredAt(w.now) || waits, "row 28", "the request of the holder of %s was ignored", c.Record)
	w.must(c.SupersededAt.IsZero(), "§3.5", "the current version %s was superseded", c.Record)
	w.must(c.ExpiredAt(w.now) == (p.Why == plan.IsExpired), "row 25", "expired is %v, and the plan says %s", c.ExpiredAt(w.now), p.Why)
	due, _ := plan.NextRotation(w.want, *c)
	w.must(due.IsZero() || w.now.Before(due) || waits, "row 22", "a rotation was due at %s", due)
	if !c.ExpiredAt(w.now) {
		end := authorized(*c).Add(w.want.Lifetime)
		w.must(c.ExpiresAt.Equal(end) || w.want.Lifetime == 0 && c.ExpiresAt.IsZero(), "row 17", "%s ends at %s", c.Record, c.ExpiresAt)
	}

	predecessors := 0
	for _, v := range append(have.Others, *c) {
		w.must(fmt.Sprint(v.Grants) == fmt.Sprint(*w.want.Grants), "§3.6", "%s carries %v", v.Record, v.Grants)
		w.must(!v.Restored, "row 23", "%s has no owner", v.Record)
		if !v.SupersededAt.IsZero() {
			predecessors++
			w.must(!v.ExpiredAt(w.now), "§3.3", "the predecessor %s is over and still there", v.Record)
			w.must(!v.ExpiresAt.After(v.SupersededAt.Add(w.want.Retire.Max)), "§3.5", "%s ends at %s", v.Record, v.ExpiresAt)
			continue
		}
		w.must(v.Record == c.Record || !w.delivered[v.Record], "§3.4", "%s and %s are both current", v.Record, c.Record)
	}
	w.must(predecessors <= plan.MaxPredecessors, "row 21", "%d predecessors", predecessors)
	w.checkKept(have)
	w.must(w.triggered <= 1, "§3.4", "%d successors of one trigger", w.triggered)
}

// runToEnd leaves the token alone. In the end its predecessors and orphans must be gone, and
// nothing else.
func (w *simulation) runToEnd() {
	w.logEvent("and was left alone")
	w.want.Every, w.want.Schedule, w.rollout = 0, nil, ""
	if w.secret.foreign {
		w.secret = secretSlot{}
	}
	if w.want.Grants == nil {
		editGrants(w)
	}
	w.want.SelfRequest = ""
	w.settle()
	for p, _ := w.nextPlan(); p.Why == plan.RotationPending; p, _ = w.nextPlan() {
		w.now = p.Wake
		w.checkRecords()
		w.settle()
	}
	last := w.secret.record
	for range 4 * maxSteps {
		p, _ := w.nextPlan()
		if p.Wake.IsZero() {
			break
		}
		w.now = p.Wake
		w.checkRecords()
		w.settle()
	}
	w.now = w.now.Add(plan.OrphanAge)
	w.checkRecords()
	w.collectGarbage()
	w.settle()
	w.must(w.secret.record == last, "row 23", "left alone, %s became %s", last, w.secret.record)
	if w.secret.there && !w.secret.foreign && w.want.State == plan.Active && w.want.Refused.Reason == "" {
		w.must(len(w.records) == 1, "row 21", "left alone, these remain: %v", w.names())
	}
	for _, v := range w.records {
		w.must(v.SupersededAt.IsZero(), "§3.5", "left alone, the predecessor %s remains", v.Record)
	}
}
