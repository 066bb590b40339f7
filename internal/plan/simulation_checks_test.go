package plan_test

import (
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// checkPlan checks that each plan is allowed by the design. It does not follow the implementation
// of the rules.
func (w *simulation) checkPlan(p plan.Plan, have plan.Observed) {
	if p.Version.Record != "" {
		w.must(w.records[p.Version.Record] != nil && seen(have, p.Version), "§3.3", "%s: there is no such version", p)
	}
	w.must(p.Do == plan.Nothing || p.Wake.IsZero(), "wake", "%s", p)
	switch p.Do {
	case plan.Nothing:
		w.must(p.Wake.IsZero() || p.Wake.After(w.now), "wake", "%s", p)
	case plan.Issue:
		w.checkIssue(p, have)
	case plan.Supersede:
		v := p.Version
		w.must(v.SupersededAt.IsZero(), "§3.5", "%s was superseded before", v.Record)
		w.must(!p.SupersededAt.After(w.now) && !p.SupersededAt.IsZero(), "§3.5", "%s", p)
		w.must(!p.ExpiresAt.IsZero() && !p.ExpiresAt.After(p.SupersededAt.Add(w.want.Retire.Max)), "§3.5", "%s: after maxOverlap", p)
		w.must(v.ExpiresAt.IsZero() || !p.ExpiresAt.After(v.ExpiresAt), "§3.5", "%s: after its own end", p)
	case plan.Change:
		v := p.Version
		w.must(!v.ExpiredAt(w.now) || p.ExpiresAt.Equal(v.ExpiresAt), "§3.3", "%s: it was dead", p)
		w.must(v.SupersededAt.IsZero() || v.ExpiresAt.IsZero() || !p.ExpiresAt.After(v.ExpiresAt), "§3.5", "%s: it was superseded", p)
		w.must(!v.SupersededAt.IsZero() || w.want.Refused.Reason == "" || p.ExpiresAt.Equal(v.ExpiresAt), "§3.6", "%s: the spec is refused", p)
	case plan.RetireOne:
		w.checkRetire(p, have)
	case plan.RetireAll:
		w.must(w.want.State == plan.Revoked, "§3.4", "%s", p)
	case plan.Render:
		w.must(have.Current != nil && p.Version.Record == have.Current.Record && !have.Current.ExpiredAt(w.now), "§3.2", "%s", p)
		w.must(w.want.State == plan.Active && w.want.Refused.Reason == "", "§3.6", "%s", p)
	}
}

// checkIssue requires a cause for every version: edits, syncs and restarts are no cause.
func (w *simulation) checkIssue(p plan.Plan, have plan.Observed) {
	w.must(w.want.Refused.Reason == "", "§3.6", "%s: the spec is refused", p)
	w.must(w.want.State == plan.Active, "§3.7", "%s: it is not active", p)
	w.must(have.Secret != plan.SecretForeign, "§3.11", "%s: the Secret is foreign", p)
	from := w.now
	w.must(p.AuthorizedAt.IsZero() == (p.Why != plan.SelfRequested), "row 28", "%s: authorized at %s", p, p.AuthorizedAt)
	if p.Why == plan.SelfRequested {
		from = authorized(p.Version)
		w.must(p.AuthorizedAt.Equal(from), "row 28", "%s: authorized at %s, not %s", p, p.AuthorizedAt, from)
		w.checkSelfRotation(p, have)
	}
	end := from.Add(w.want.Lifetime)
	w.must(p.ExpiresAt.Equal(end) || w.want.Lifetime == 0 && p.ExpiresAt.IsZero(), "row 17", "%s", p)
	kept := 0
	for _, v := range append(have.Others, p.Version) {
		if !v.SupersededAt.IsZero() || have.Current != nil && v.Record == have.Current.Record {
			kept++
		}
	}
	if have.Current == nil && p.Version.Record != "" {
		kept-- // it is also in Others
	}
	w.must(kept <= plan.MaxPredecessors, "row 21", "%s: %d predecessors", p, kept)

	c := have.Current
	if c == nil {
		for _, v := range have.Others {
			w.must(!v.SupersededAt.IsZero(), "§3.5", "%s: %s has no end yet", p, v.Record)
		}
		cause := map[plan.Why]plan.SecretState{
			plan.FirstIssue: plan.SecretAbsent, plan.SecretGone: plan.SecretAbsent,
			plan.SecretChanged: plan.SecretAltered, plan.RecordMissing: plan.SecretRecordMissing,
		}
		found, ok := cause[p.Why]
		w.must(ok && found == have.Secret, "row 23", "%s: the Secret is %d", p, have.Secret)
		return
	}
	w.must(p.Version.Record == c.Record, "§3.4", "%s: %s is current", p, c.Record)
	for _, v := range have.Others {
		w.must(v.Record != c.Predecessor || !v.SupersededAt.IsZero(), "§3.5", "%s: %s has no end yet", p, v.Record)
	}
	var due bool
	switch p.Why {
	case plan.TriggerChanged:
		due = c.Trigger != w.want.Trigger && w.triggered == 0
	case plan.RotationDue:
		due = w.want.Every > 0 && !w.now.Before(authorized(*c).Add(w.want.Every))
		if s := w.want.Schedule; s != nil {
			next := s.Next(authorized(*c))
			due = due || !next.IsZero() && !w.now.Before(next)
		}
	case plan.SelfRequested:
		due = c.Record == w.want.SelfRequest && !w.want.SelfRotationForbidden
	case plan.ExpiryNear:
		rotates := w.want.Every > 0 || w.want.Schedule != nil
		left := c.ExpiresAt.Sub(w.now)
		due = rotates && !c.ExpiresAt.IsZero() && left <= w.want.Retire.Max && left <= c.ExpiresAt.Sub(authorized(*c))/3+1
	}
	w.must(due, "row 23", "%s: no cause", p)
	w.checkDeferral(p, have)
}

// checkDeferral requires that consumers have had time to move on before another rotation, unless
// the current version is about to expire.
func (w *simulation) checkDeferral(p plan.Plan, have plan.Observed) {
	c, r := have.Current, w.want.Retire
	if !c.ExpiresAt.IsZero() && !w.now.Before(c.ExpiresAt.Add(-min(r.Max, c.ExpiresAt.Sub(authorized(*c))/3))) {
		return
	}
	kept := 0
	for _, v := range have.Others {
		if v.SupersededAt.IsZero() {
			continue
		}
		kept++
		w.must(have.IncompleteRollout == "", "row 22", "%s: pods may hold %s", p, v.Record)
		byHolder := p.Why != plan.SelfRequested && w.madeForHolder(v)
		w.must(byHolder || !w.now.Before(v.SupersededAt.Add(r.Min)), "row 22", "%s: %s is within its minOverlap", p, v.Record)
	}
	w.must(p.Why != plan.SelfRequested || kept < plan.MaxPredecessors-1, "row 28", "%s: a holder takes the last place", p)
}

// madeForHolder reports whether a holder asked for the successor of v.
func (w *simulation) madeForHolder(v plan.Version) bool {
	for _, s := range w.records {
		if s.Predecessor == v.Record && !s.AuthorizedAt.IsZero() {
			return true
		}
	}
	return false
}

// authorized returns the instant that the lifetime of a version counts from.
func authorized(v plan.Version) time.Time {
	if v.AuthorizedAt.IsZero() {
		return v.IssuedAt
	}
	return v.AuthorizedAt
}

// checkSelfRotation requires minOverlap between two rotations by holders.
func (w *simulation) checkSelfRotation(p plan.Plan, have plan.Observed) {
	for _, v := range append(have.Others, *have.Current) {
		delivered := !v.SupersededAt.IsZero() || v.Record == have.Current.Record
		w.must(!delivered || v.AuthorizedAt.IsZero() || !w.now.Before(v.IssuedAt.Add(w.want.Retire.Min)), "row 28", "%s: so soon after %s", p, v.Record)
	}
}

// checkRetire requires that a predecessor has had its overlap. The exception is a token with too
// many predecessors whose new consumers have no valid token.
func (w *simulation) checkRetire(p plan.Plan, have plan.Observed) {
	v, r := p.Version, w.want.Retire
	w.must(!v.SupersededAt.IsZero(), "row 22", "%s: it is no predecessor", p)
	over := !w.now.Before(v.SupersededAt.Add(r.Max)) || v.ExpiredAt(w.now)
	proof := w.usedAfter(v)
	inUse := !v.LastUsedAt.IsZero() && (w.now.Before(v.LastUsedAt.Add(r.Quiet)) || !proof && v.LastUsedAt.After(v.SupersededAt))
	switch p.Why {
	case plan.PredecessorUnused:
		w.must(r.When == plan.RetireUnused && !over, "row 22", "%s: use does not decide", p)
		w.must(!w.now.Before(v.SupersededAt.Add(r.Min)), "row 22", "%s: before minOverlap", p)
		w.must(proof, "row 22", "%s: nothing shows that its consumers have moved on", p)
		for _, since := range []time.Time{v.SupersededAt, v.LastUsedAt} {
			w.must(!w.now.Before(since.Add(r.Quiet)), "row 22", "%s: not quiet since %s", p, since)
		}
	case plan.OverlapOver:
		w.must(over && !inUse, "row 22", "%s: used at %s, ends at %s", p, v.LastUsedAt, v.ExpiresAt)
	case plan.OverlapOverInUse:
		w.must(over && inUse, "row 22", "%s: used at %s, ends at %s", p, v.LastUsedAt, v.ExpiresAt)
	case plan.TooManyPredecessors:
		n := 0
		for _, o := range have.Others {
			if !o.SupersededAt.IsZero() {
				n++
				w.must(o.Number >= v.Number, "row 22", "%s: %s is older", p, o.Record)
			}
		}
		w.must(n >= plan.MaxPredecessors, "row 22", "%s: there are but %d", p, n)
		w.must(have.Current == nil || have.Current.ExpiredAt(w.now), "row 28", "%s: for a rotation", p)
	default:
		w.must(false, "row 22", "%s: no cause", p)
	}
}

// checkKept requires a reason for each predecessor that stays after its minOverlap: its own use, or
// that no successor was used.
func (w *simulation) checkKept(have plan.Observed) {
	kept, found := plan.KeptPredecessor(w.now, w.want, have)
	for _, v := range have.Others {
		if v.SupersededAt.IsZero() || w.want.Retire.When != plan.RetireUnused || w.now.Before(v.SupersededAt.Add(w.want.Retire.Min)) {
			continue
		}
		used := !v.LastUsedAt.IsZero() && w.now.Before(v.LastUsedAt.Add(w.want.Retire.Quiet))
		w.must(found || !used && w.usedAfter(v), "row 22", "no reason is given why %s stays", v.Record)
	}
	w.must(!found || kept.Why == plan.UsedRecently || !w.usedAfter(kept.Version), "row 22", "%s stays, and a successor was used", kept.Version.Record)
	w.must(!found || kept.Why != plan.UsedRecently || !kept.Version.LastUsedAt.IsZero(), "row 22", "%s was never used", kept.Version.Record)
}

// usedAfter reports whether a version that was issued after v has been used.
func (w *simulation) usedAfter(v plan.Version) bool {
	for _, s := range w.records {
		if s.Number > v.Number && !s.LastUsedAt.IsZero() {
			return true
		}
	}
	return false
}

// facts are the observable facts about a token at an instant, without the next wake-up.
type facts struct {
	do          plan.Action
	why         plan.Why
	message     string
	about, kept string
	keptFor     plan.Why
	warned      bool
}

func factsAt(t time.Time, want plan.Desired, have plan.Observed) facts {
	p := plan.ForToken(t, want, have)
	k, _ := plan.KeptPredecessor(t, want, have)
	f := facts{p.Do, p.Why, p.Message, p.Version.Record, k.Version.Record, k.Why, false}
	if p.Do == plan.Nothing && have.Current != nil {
		notice := plan.ExpiryNotice(want, *have.Current)
		f.warned = !notice.IsZero() && !t.Before(notice) && !have.Current.ExpiredAt(t)
	}
	return f
}

// checkWake tries instants between now and the Wake of a plan that does Nothing. No fact may change
// before Wake, and at Wake one must change, unless Wake is only for another observation. Without a
// Wake, no fact may ever change.
func (w *simulation) checkWake(p plan.Plan, have plan.Observed) {
	end := p.Wake
	if end.IsZero() {
		end = w.now.AddDate(100, 0, 0)
	} else if !isPolling(w.now, p) {
		w.must(factsAt(end, w.want, have) != factsAt(w.now, w.want, have), "wake", "no news at %s", end)
	}
	instants := []time.Time{end.Add(-1), w.now.Add(1)}
	for _, v := range have.Others {
		instants = append(instants, w.deadlinesOf(v)...)
	}
	if have.Current != nil {
		instants = append(instants, w.deadlinesOf(*have.Current)...)
	}
	for scale := end.Sub(w.now); scale > 0; scale /= 50 {
		instants = append(instants, w.now.Add(time.Duration(w.rng.Int64N(int64(scale)))))
	}
	was := factsAt(w.now, w.want, have)
	for _, t := range instants {
		if t.After(w.now) && t.Before(end) {
			is := factsAt(t, w.want, have)
			w.must(is == was, "wake", "news at %s, and Wake is %s: %+v was %+v", t, p.Wake, is, was)
		}
	}
}

// isPolling reports whether p wakes only to observe something that is not watched.
func isPolling(now time.Time, p plan.Plan) bool {
	return p.Why == plan.SecretTaken && p.Wake.Equal(now.Add(plan.ForeignSecretInterval)) ||
		p.DeferredBy == plan.RolloutIncomplete && !p.Wake.Before(now.Add(plan.RolloutInterval))
}

// deadlinesOf returns the instants at which a fact about v could change.
func (w *simulation) deadlinesOf(v plan.Version) []time.Time {
	r := w.want.Retire
	var ts []time.Time
	for _, t := range []time.Time{
		v.ExpiresAt, v.ExpiresAt.Add(-r.Max), v.ExpiresAt.Add(-v.ExpiresAt.Sub(v.IssuedAt) / 3), v.ExpiresAt.Add(-plan.MaxExpiryNotice),
		authorized(v).Add(w.want.Every), v.IssuedAt.Add(r.Min), v.SupersededAt.Add(r.Min), v.SupersededAt.Add(r.Max), v.SupersededAt.Add(r.Quiet), v.LastUsedAt.Add(r.Quiet),
	} {
		ts = append(ts, t.Add(-1), t, t.Add(1))
	}
	return ts
}
