package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/plan"
)

// withMaxPredecessors gives the base fixture the maximum number of predecessors. The oldest was
// superseded since before noon and is in use.
func withMaxPredecessors(since time.Duration) twist {
	return func(s *fixture) {
		oldest := predecessor(-1, since)
		oldest.LastUsedAt = noon
		s.have.Others = []plan.Version{predecessor(1, 0), predecessor(0, 0), oldest}
	}
}

func TestRotate_EndsNoPredecessor(t *testing.T) {
	wait := func(until time.Duration) plan.Plan {
		return plan.Plan{Why: plan.RotationPending, Wake: noon.Add(until)}
	}
	retired := func(why plan.Why, record string) plan.Plan {
		return plan.Plan{Do: plan.RetireOne, Why: why, Version: versionNamed(record)}
	}
	const end = day - time.Minute // end of the oldest predecessor
	for cause, asks := range map[string]twist{
		"the trigger":  func(s *fixture) { s.want.Trigger = "2" },
		"a request":    func(s *fixture) { s.want.Request = "a" },
		"the interval": func(s *fixture) { s.want.Every, s.want.Retire.Max = time.Second, day },
		"the calendar": func(s *fixture) { s.want.Every, s.want.Schedule = 0, calendar(time.Second) },
		"a holder":     func(s *fixture) { s.want.SelfRequest = "at-2" },
	} {
		at := noon.Add(2 * time.Minute)
		rule(t, map[string]ruleCase{
			cause + " waits until the oldest has had its minOverlap": {at: at, twist: combined(asks, withMaxPredecessors(time.Minute)), want: wait(9 * time.Minute)},
			cause + " waits on when it has had it":                   {at: noon.Add(9 * time.Minute), twist: combined(asks, withMaxPredecessors(time.Minute)), want: wait(time.Hour)},
			cause + " waits one instant before its end":              {at: noon.Add(end - 1), twist: combined(asks, withMaxPredecessors(time.Minute)), want: wait(end)},
			cause + " has room at its end":                           {at: noon.Add(end), twist: combined(asks, withMaxPredecessors(time.Minute)), want: retired(plan.OverlapOverInUse, "at--1")},
			cause + " waits until one has gone out of use":           {at: noon.Add(time.Hour - 1), twist: combined(asks, combined(withMaxPredecessors(time.Minute), successorUsed)), want: wait(time.Hour)},
			cause + " waits while uses are not written yet": {
				at: noon.Add(time.Hour), want: wait(time.Hour + time.Second),
				twist: combined(asks, combined(combined(withMaxPredecessors(time.Minute), successorUsed), func(s *fixture) { s.have.UsesKnownFrom = noon.Add(time.Hour + time.Second) })),
			},
			cause + " has room when one has": {at: noon.Add(time.Hour), twist: combined(asks, combined(withMaxPredecessors(time.Minute), successorUsed)), want: retired(plan.PredecessorUnused, "at-1")},
			cause + " writes a changed template meanwhile": {
				at: at, twist: combined(combined(asks, withMaxPredecessors(time.Minute)), func(s *fixture) { s.have.Secret = plan.SecretOutdated }),
				want: plan.Plan{Do: plan.Render, Why: plan.TemplateChanged, Version: versionNamed("at-2")},
			},
		})
	}
	triggered, makesRoom := func(s *fixture) { s.want.Trigger = "2" }, retired(plan.TooManyPredecessors, "at--1")
	rule(t, map[string]ruleCase{
		"its own end makes room": {
			twist: combined(combined(triggered, withMaxPredecessors(time.Minute)), func(s *fixture) { s.have.Others[2].ExpiresAt = noon.Add(time.Minute) }),
			want:  wait(time.Minute),
		},
		"an expired current version does not wait, since nothing in the Secret is valid": {
			twist: combined(combined(triggered, withMaxPredecessors(time.Minute)), func(s *fixture) { s.have.Current.ExpiresAt, s.want.Refused.Reason = noon, "" }),
			want:  makesRoom,
		},
		"a lost Secret does not wait, since no new consumer has a valid token": {
			at: noon.Add(time.Minute), twist: combined(withMaxPredecessors(0), func(s *fixture) {
				removedFromSecret(plan.SecretAbsent)(s)
				s.have.Others[0].SupersededAt, s.have.Others[0].ExpiresAt = noon, noon.Add(day)
			}),
			want: makesRoom,
		},
	})
}

func TestRotate_WaitsForRollout(t *testing.T) {
	triggered := func(s *fixture) { s.want.Trigger = "2" }
	rolling := func(s *fixture) { s.have.IncompleteRollout = "Deployment indexer" }
	waits := combined(triggered, combined(withPredecessor, rolling))
	clone := func(at time.Duration) plan.Plan {
		return plan.Plan{Do: plan.Issue, Why: plan.TriggerChanged, Version: versionNamed("at-2"), ExpiresAt: longLife.Add(at)}
	}
	looks := func(at time.Duration) plan.Plan {
		return plan.Plan{Why: plan.RotationPending, Wake: noon.Add(at + max(plan.RolloutInterval, at/10))}
	}
	rule(t, map[string]ruleCase{
		"while it is not complete": {at: noon.Add(time.Hour), twist: waits, want: looks(time.Hour)},
		"soon, and then less often": {
			at: noon.Add(time.Minute), twist: combined(waits, func(s *fixture) { s.want.Retire.Min = 0 }), want: looks(time.Minute),
		},
		"and no sooner when it is reconciled in between": {
			at:    noon.Add(time.Hour + 5*time.Minute),
			twist: combined(waits, func(s *fixture) { s.have.RolloutSeenAt = noon.Add(time.Hour) }), want: looks(time.Hour),
		},
		"not once the expiry is near": {
			at: noon.Add(time.Hour), twist: combined(waits, live(90*time.Minute)),
			want: plan.Plan{Do: plan.Issue, Why: plan.TriggerChanged, Version: versionNamed("at-2"), ExpiresAt: noon.Add(150 * time.Minute)},
		},
		"until the last predecessor has gone": {at: noon.Add(day), twist: waits, want: gone(plan.OverlapOver)},
		"not where there is no predecessor":   {at: noon.Add(time.Hour), twist: combined(triggered, rolling), want: clone(time.Hour)},
		"not where nothing new is valid": {
			at: noon.Add(time.Hour), twist: combined(waits, func(s *fixture) { s.have.Current.ExpiresAt = noon.Add(time.Hour) }), want: clone(time.Hour),
		},
		"a lost Secret does not": {
			at: noon, twist: combined(rolling, func(s *fixture) { s.have.Secret, s.have.Current = plan.SecretAbsent, nil }),
			want: plan.Plan{Do: plan.Issue, Why: plan.FirstIssue, ExpiresAt: longLife},
		},
	})
	s := base(waits)
	p := plan.ForToken(noon.Add(time.Hour), s.want, s.have)
	for _, text := range []string{"Triggered", "Deployment indexer", "2026-03-03T12:00:00Z"} {
		if !strings.Contains(p.Message, text) || p.DeferredBy != plan.RolloutIncomplete {
			t.Errorf("%s: %q does not say %q", p.DeferredBy, p.Message, text)
		}
	}
	s = base(combined(triggered, withMaxPredecessors(0)))
	if p := plan.ForToken(noon.Add(time.Hour), s.want, s.have); p.DeferredBy != plan.PredecessorsKept || !strings.Contains(p.Message, "TokenRecord") {
		t.Errorf("%s: %q", p.DeferredBy, p.Message)
	}
}

// Requests of an administrator, of the holder of at-2, of the holder of its predecessor, and a
// retry; and the plans for them.
var (
	adminRequest        = plan.Request{ID: "admin"}
	holderRequest       = plan.Request{ID: "self of at-2", Holder: "at-2"}
	formerHolderRequest = plan.Request{ID: "self of at-1", Holder: "at-1"}
	retryRequest        = plan.Request{ID: "clone", RetryOnly: true}
	successor           = plan.Plan{Do: plan.Issue, Why: plan.Requested, Version: versionNamed("at-2"), ExpiresAt: noon.Add(90 * day)}
	replacement         = plan.Plan{Do: plan.Replace, Why: plan.RequestRetried, Version: versionNamed("at-2"), ExpiresAt: noon.Add(90 * day)}
)

// madeFor makes the token delivered in responses, with a current version that was made for the
// request id.
func madeFor(id string) twist {
	return combined(deliveredInResponse, combined(withPredecessor, func(s *fixture) { s.have.Current.Request = id }))
}

func TestRequest_ReplacesOnlyWhatTheSameRequestMade(t *testing.T) {
	used := func(s *fixture) { s.have.Current.LastUsedAt = noon }
	byHolder := func(s *fixture) { s.have.Current.AuthorizedAt = noon.Add(-day) }
	rotatedSince := func(s *fixture) { s.have.Current.Request, s.have.Others[0].Request = "another", "admin" }
	soon, late := noon.Add(plan.RetryWindow-1), noon.Add(plan.RetryWindow)
	done, superseded := plan.Plan{Why: plan.RequestDone}, plan.Plan{Why: plan.HolderSuperseded}
	for sentence, c := range map[string]struct {
		at    time.Time
		twist twist
		ask   plan.Request
		want  plan.Plan
	}{
		"an administrator makes a successor":                       {noon.Add(10 * time.Minute), madeFor(""), adminRequest, successor},
		"the same request within the time replaces it":             {soon, madeFor("admin"), adminRequest, replacement},
		"the same request later is done":                           {late, madeFor("admin"), adminRequest, done},
		"the same request is done once it is in use":               {soon, combined(madeFor("admin"), used), adminRequest, done},
		"the same request is done once another took over":          {soon, combined(madeFor(""), rotatedSince), adminRequest, done},
		"a request without a key is never the same":                {noon.Add(10 * time.Minute), madeFor(""), plan.Request{}, successor},
		"another key is another request":                           {noon.Add(10 * time.Minute), madeFor("another"), adminRequest, successor},
		"a holder never replaces what an administrator asked for":  {noon, madeFor("admin"), formerHolderRequest, superseded},
		"nor what Git asked for":                                   {noon, madeFor(""), formerHolderRequest, superseded},
		"nor what it asked for with another key":                   {noon, madeFor("self of at-1, key"), formerHolderRequest, superseded},
		"a holder replaces what it asked for":                      {soon, madeFor("self of at-1"), formerHolderRequest, replacement},
		"but not later":                                            {late, madeFor("self of at-1"), formerHolderRequest, done},
		"an administrator makes a successor of what a holder made": {noon, combined(madeFor("self of at-1"), byHolder), adminRequest, successor},
		"within minOverlap it waits":                               {noon, madeFor(""), adminRequest, plan.Plan{Why: plan.RotationPending, Wake: noon.Add(10 * time.Minute)}},
		"a clone is made again for the same request":               {soon, madeFor("clone"), retryRequest, replacement},
		"but not for another":                                      {noon, madeFor("another"), retryRequest, plan.Plan{Why: plan.RequestUnknown}},
		"an expired version has no successor":                      {noon.Add(90 * day), madeFor(""), adminRequest, plan.Plan{Why: plan.IsExpired}},
		"a full token waits":                                       {noon, combined(madeFor(""), withMaxPredecessors(0)), adminRequest, plan.Plan{Why: plan.RotationPending, Wake: noon.Add(day)}},
		"a retry needs no room":                                    {noon, combined(madeFor("admin"), withMaxPredecessors(0)), adminRequest, replacement},
		"what a crash left unmarked counts":                        {noon, combined(combined(madeFor(""), withMaxPredecessors(0)), unmarked), adminRequest, plan.Plan{Why: plan.RotationPending, Wake: noon.Add(day)}},
		"none ends for a successor after its minOverlap":           {noon, combined(madeFor(""), withMaxPredecessors(10*time.Minute)), adminRequest, plan.Plan{Why: plan.RotationPending, Wake: noon.Add(day - 10*time.Minute)}},
		"one that may go makes room":                               {noon.Add(time.Hour), combined(madeFor(""), combined(withMaxPredecessors(0), successorUsed)), adminRequest, gone(plan.PredecessorUnused)},
	} {
		t.Run(sentence, func(t *testing.T) {
			s := base(c.twist)
			got := plan.ForRequest(c.at, s.want, s.have, c.ask)
			if c.want.Do == plan.Issue {
				c.want.ExpiresAt = c.at.Add(90 * day)
			}
			if formatPlan(got) != formatPlan(c.want) || !got.AuthorizedAt.IsZero() {
				t.Errorf("got %s, authorized at %s\nwant %s", formatPlan(got), got.AuthorizedAt, formatPlan(c.want))
			}
		})
	}
}

// unmarked removes the supersession from the predecessor of the current version, as a crash would.
func unmarked(s *fixture) {
	s.have.Others[0].SupersededAt, s.have.Others[0].ExpiresAt = time.Time{}, noon.Add(60*day)
}

func TestSelfRotation_AtMostOncePerMinOverlap(t *testing.T) {
	made := func(s *fixture) {
		s.have.Current.AuthorizedAt, s.have.Current.ExpiresAt = noon.Add(-day), noon.Add(89*day)
	}
	before := func(s *fixture) { // a holder made the version before the current one, and an administrator rotated since
		v := predecessor(1, time.Minute)
		v.AuthorizedAt, v.IssuedAt = noon.Add(-day), noon.Add(-time.Minute)
		s.have.Others = []plan.Version{v}
	}
	orphan := func(s *fixture) {
		v := version(9, 0)
		v.AuthorizedAt = noon.Add(-day)
		s.have.Others = []plan.Version{v}
	}
	forbidden := func(s *fixture) { s.want.SelfRotationForbidden = true }
	for sentence, c := range map[string]struct {
		twist twist
		want  plan.Why
		from  time.Duration // first instant at which a holder may rotate
	}{
		"at once, where no holder did":                    {nil, plan.SelfRequested, 0},
		"minOverlap after it was made by a holder":        {made, plan.SelfRotationTooSoon, 10 * time.Minute},
		"an administrator's rotation between is no help":  {before, plan.SelfRotationTooSoon, 9 * time.Minute},
		"a record that no caller received does not count": {orphan, plan.SelfRequested, 0},
		"never where the client forbids it":               {forbidden, plan.SelfRotationForbidden, 0},
	} {
		t.Run(sentence, func(t *testing.T) {
			s := base(combined(deliveredInResponse, func(s *fixture) {
				if c.twist != nil {
					c.twist(s)
				}
			}))
			got := plan.ForRequest(noon, s.want, s.have, holderRequest)
			if got.Why != c.want || c.from > 0 && !got.Wake.Equal(noon.Add(c.from)) {
				t.Errorf("over HTTP: %s", formatPlan(got))
			}
			if at := noon.Add(c.from); c.from > 0 {
				if p := plan.ForRequest(at.Add(-1), s.want, s.have, holderRequest); p.Why != c.want {
					t.Errorf("one instant before: %s", formatPlan(p))
				}
				if p := plan.ForRequest(at, s.want, s.have, holderRequest); p.Why != plan.SelfRequested {
					t.Errorf("then: %s", formatPlan(p))
				}
			}
			s.want.DeliveredInResponse, s.want.SelfRequest = false, "at-2"
			p := plan.ForToken(noon, s.want, s.have)
			if issues := p.Why == plan.SelfRequested; issues != (c.want == plan.SelfRequested) || c.from > 0 && !p.Wake.Equal(noon.Add(c.from)) {
				t.Errorf("by annotation: %s", formatPlan(p))
			}
		})
	}
}

func TestSelfRotation_ChainNeverOutlivesPolicy(t *testing.T) {
	s := base(deliveredInResponse)
	end := noon.Add(s.want.Lifetime)
	now := noon
	for range 1000 {
		p := plan.ForRequest(now, s.want, s.have, plan.Request{Holder: s.have.Current.Record})
		switch {
		case p.Do == plan.Issue:
			if !p.AuthorizedAt.Equal(noon) || !p.ExpiresAt.Equal(end) {
				t.Fatalf("at %s: %s, authorized at %s", formatTime(now), formatPlan(p), formatTime(p.AuthorizedAt))
			}
			s.have.Current = &plan.Version{
				Record: p.Version.Record + "+", Grants: p.Version.Grants, IssuedAt: now, AuthorizedAt: p.AuthorizedAt, ExpiresAt: p.ExpiresAt,
			}
			if at := plan.ForToken(now, s.want, s.have); at.Do == plan.Change {
				t.Fatalf("the planner would move its end: %s", formatPlan(at))
			}
		case !now.Before(end) && p.Why == plan.IsExpired:
			return
		case p.Why != plan.SelfRotationTooSoon:
			t.Fatalf("at %s: %s", formatTime(now), formatPlan(p))
		}
		now = now.Add(3 * time.Hour)
	}
	t.Error("it rotates itself for ever")
}

func TestSelfRotation_LifetimeCountsFromWhatWasAuthorized(t *testing.T) {
	self := func(s *fixture) { s.have.Current.AuthorizedAt = noon.Add(-29 * day) }
	ending := combined(self, func(s *fixture) { s.have.Current.ExpiresAt = noon.Add(61 * day) })
	checkDeadlines(t, map[string]deadline{
		"the interval is not postponed": {at: noon.Add(day), twist: ending, then: clone(plan.RotationDue, 90*day)},
		"the calendar is not postponed": {
			at: noon.Add(-29 * day).Add(30 * day), twist: combined(ending, rotate(0, singleInstant{noon.Add(day)}, 0)), then: clone(plan.RotationDue, 90*day),
		},
	})
	rule(t, map[string]ruleCase{
		"an end that counts from the issue is moved back": {twist: self, want: changed(plan.ExpiryChanged, "at-2", noon.Add(61*day))},
		"a shorter lifetime counts from there too": {
			twist: combined(ending, func(s *fixture) { s.want.Lifetime = 30 * day }), want: changed(plan.ExpiryChanged, "at-2", noon.Add(day)),
		},
		"of a version that is not current it is void": {
			twist: func(s *fixture) { s.want.SelfRequest = "at-1" }, want: atRest,
		},
		"where something else asks too, the successor has a lifetime of its own": {
			twist: combined(ending, func(s *fixture) { s.want.SelfRequest, s.want.Trigger = "at-2", "2" }),
			want:  plan.Plan{Do: plan.Issue, Why: plan.TriggerChanged, Version: versionNamed("at-2"), ExpiresAt: longLife},
		},
	})
}
