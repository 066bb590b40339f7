package verify_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// idleUse returns a use of a session that was issued at noon. A stored of 0 means no stored use.
func idleUse(idle, used, stored time.Duration) verify.Use {
	u := verify.Use{IssuedAt: noon, At: noon.Add(used), Idle: idle}
	if stored > 0 {
		u.StoredAt = noon.Add(stored)
	}
	return u
}

// Other replicas end a session by what the API server holds. Its use is therefore written when a
// tenth of the idle timeout has passed since the last stored sign of life.
func TestPlanWrites_SessionAtTenthOfIdleTimeout(t *testing.T) {
	const never = 0
	for name, x := range map[string]struct {
		lastUseState verify.Use
		now          time.Duration
		due, waits   bool
	}{
		"just issued and used":                        {idleUse(30*time.Minute, time.Second, never), time.Second, false, true},
		"one second before a tenth":                   {idleUse(30*time.Minute, time.Minute, never), 3*time.Minute - time.Second, false, true},
		"at a tenth":                                  {idleUse(30*time.Minute, time.Minute, never), 3 * time.Minute, true, false},
		"one second after":                            {idleUse(30*time.Minute, time.Minute, never), 3*time.Minute + time.Second, true, false},
		"in use all the time":                         {idleUse(30*time.Minute, 3*time.Minute, never), 3 * time.Minute, true, false},
		"a tenth after what the store knows":          {idleUse(30*time.Minute, 7*time.Minute, 4*time.Minute), 7 * time.Minute, true, false},
		"less than that":                              {idleUse(30*time.Minute, 7*time.Minute, 4*time.Minute+time.Second), 7 * time.Minute, false, true},
		"the store knows":                             {idleUse(30*time.Minute, 4*time.Minute, 4*time.Minute), time.Hour, false, false},
		"the store knows of a later one":              {idleUse(30*time.Minute, 4*time.Minute, 5*time.Minute), time.Hour, false, false},
		"used in the second of its issue":             {idleUse(30*time.Minute, 0, never), time.Hour, false, false},
		"the same, and the store knows of none since": {verify.Use{IssuedAt: noon, At: noon, StoredAt: noon.Add(-time.Hour), Idle: time.Minute}, time.Hour, false, false},
		"a time-out of a second":                      {idleUse(time.Second, time.Second, never), time.Second, true, false},
		"a time-out of a day, five minutes behind":    {idleUse(24*time.Hour, 10*time.Minute, 5*time.Minute), 10 * time.Minute, false, true},
	} {
		now, later := verify.PlanWrites(noon.Add(x.now), []verify.Use{x.lastUseState}, 1)
		if x.lastUseState.IsDue(noon.Add(x.now)) != x.due || (len(now) == 1) != x.due || (len(later) == 1) != x.waits {
			t.Errorf("%s: %d now, %d later, due %t", name, len(now), len(later), x.lastUseState.IsDue(noon.Add(x.now)))
		}
	}
}

// A session that is used once and then stays unused is written when a tenth of its timeout has
// passed, although nothing more happens. Then it is done with.
func TestPlanWrites_UnusedSessionIsStillWritten(t *testing.T) {
	w, c, v := newIdleFixture(t)
	useAt(c, v, t, w, noon.Add(time.Second))
	for range 10 * 60 {
		c.advance(time.Second)
		now, later := verify.PlanWrites(c.now(), w.takeUses(), 1)
		if due := !c.now().Before(noon.Add(testIdleTimeout / 10)); (len(now) == 1) != due || (len(later) == 1) == due {
			t.Fatalf("at %s: %d now, %d later", c.now().UTC(), len(now), len(later))
		}
		for _, u := range later {
			w.RequeueUse(u)
		}
		if len(now) == 1 {
			now[0].MarkStored()
			if n := len(w.takeUses()); n != 0 {
				t.Errorf("%d uses after it was written", n)
			}
			return
		}
	}
	t.Error("it was never written")
}

// The session whose use is furthest ahead of the stored one loses the most, and comes first.
// Sessions without a stored use are not first for that alone: the API server holds their issue.
func TestPlanWrites_FurthestBehindSessionFirst(t *testing.T) {
	name := func(u verify.Use, first byte) verify.Use { u.ID[0] = first; return u }
	uses := []verify.Use{
		name(idleUse(30*time.Minute, time.Second, 0), 'd'),
		name(idleUse(30*time.Minute, 20*time.Minute, time.Minute), 'b'),
		name(idleUse(time.Minute, 20*time.Minute, 15*time.Minute), 'a'),
		name(idleUse(30*time.Minute, 20*time.Minute, 10*time.Minute), 'c'),
	}
	for i := range 10 { // other uses, which do not share the budget of sessions
		uses = append(uses, name(verify.Use{At: noon.Add(20 * time.Minute)}, byte(i)))
	}
	var order []byte
	now, later := verify.PlanWrites(noon.Add(20*time.Minute), uses, 1)
	for _, u := range now {
		if u.Idle > 0 {
			order = append(order, u.ID[0])
		}
	}
	if string(order) != "abcd" || len(now) != 5 || len(later) != 9 {
		t.Errorf("%q, %d now, %d later", order, len(now), len(later))
	}
	if now, later := verify.PlanWrites(noon.Add(20*time.Minute), uses[:4], 0); len(now) != 0 || len(later) != 4 {
		t.Errorf("without a budget: %d now, %d later", len(now), len(later))
	}
}

// A thousand sessions are in use at once with one write a second, beside a thousand busy other
// tokens. No session gets further behind than a sixth of its timeout.
func TestPlanWrites_BusyTokensDoNotDelaySessions(t *testing.T) {
	const most = testIdleTimeout / 6
	stored := map[verify.ID]time.Time{}
	for i := range 2000 {
		var id verify.ID
		binary.BigEndian.PutUint64(id[:], uint64(i))
		stored[id] = time.Time{}
	}
	for second := range 2 * most / time.Second {
		at := noon.Add(second * time.Second)
		var uses []verify.Use
		for id, known := range stored {
			u := verify.Use{ID: id, At: at, StoredAt: known, IssuedAt: noon}
			if id[7]%2 == 0 {
				u.Idle = testIdleTimeout
				if at.Sub(noon) > most && at.Sub(known) > most {
					t.Fatalf("at %s, the store knows of a use at %s", at, known)
				}
			}
			uses = append(uses, u)
		}
		now, _ := verify.PlanWrites(at, uses, 1)
		for _, u := range now {
			stored[u.ID] = at
		}
	}
}

// This is a model of two replicas. One sees a session in use, at any intervals, and writes each
// second what is due. The other knows only what the API server holds. A use in the last two seconds
// of the timeout may be rejected there until it is written.
func TestPlanWrites_NoReplicaEndsSessionInUse(t *testing.T) {
	for _, idle := range []time.Duration{10 * time.Second, time.Minute, testIdleTimeout} {
		random := rand.New(rand.NewPCG(1, uint64(idle)))
		alive, ended := 0, 0
		for range 8 {
			m := newReplicaModel(t, idle)
			for m.uses < 40 {
				var gap time.Duration
				switch random.IntN(16) {
				case 0:
					gap = idle + time.Duration(random.Int64N(int64(2*time.Second))) // too late
				case 1, 2, 3:
					gap = idle - 2*time.Second - time.Duration(random.Int64N(int64(time.Second))) // just in time
				case 4, 5, 6:
					gap = time.Duration(random.Int64N(int64(idle - 2*time.Second)))
				default:
					gap = time.Duration(random.Int64N(int64(idle / 5))) // busy
				}
				if !m.useAfter(gap) {
					ended++
					break
				}
				alive++
			}
		}
		if alive < 40 || ended < 3 {
			t.Errorf("of %s, %d uses and %d ends say little", idle, alive, ended)
		}
	}
}

type replicaModel struct {
	*testing.T
	idle  time.Duration
	here  *fixture
	there *fixture // knows the stored state alone
	clock *fakeClock
	v     *verify.Verifier
	last  time.Time
	uses  int
}

func newReplicaModel(t *testing.T, idle time.Duration) *replicaModel {
	m := &replicaModel{T: t, idle: idle, here: newUserFixture(t, token.Session), there: newUserFixture(t, token.Session), clock: newClock(noon), last: noon}
	m.here.rec.IdleTimeout = idle
	m.here.Set(m.here.rec)
	m.there.Set(m.here.rec)
	m.v = m.here.newVerifier(m.clock, &fakeStore{})
	return m
}

// useAfter lets time pass, a quarter of a second at a time. Then the session is used, if it still
// can be.
func (m *replicaModel) useAfter(gap time.Duration) bool {
	next := m.clock.now().Add(gap)
	for m.clock.now().Add(250 * time.Millisecond).Before(next) {
		m.clock.advance(250 * time.Millisecond)
		m.checkOther()
		if m.clock.now().Nanosecond() < int(250*time.Millisecond) {
			m.writeUses()
		}
	}
	m.clock.at.Store(next.UnixNano())
	m.checkOther()
	_, verdict := m.v.Verify(m.Context(), m.here.tok.Reveal(), verify.Facts{Session: sessionID})
	if good := next.Sub(m.last) < m.idle; (verdict == verify.Valid) != good {
		m.Fatalf("of %s, %s after %s where it is used", m.idle, verdict, next.Sub(m.last))
	}
	if verdict == verify.Valid {
		m.last = next
		m.uses++
	}
	return verdict == verify.Valid
}

// checkOther verifies the session on the other replica, which notes nothing.
func (m *replicaModel) checkOther() {
	m.Helper()
	_, verdict := m.there.Verify(m.clock.now(), m.here.tok.Reveal(), verify.Facts{Session: sessionID})
	switch silent := m.clock.now().Sub(m.last); {
	case silent < m.idle-2*time.Second && verdict != verify.Valid:
		m.Fatalf("of %s, %s elsewhere after %s", m.idle, verdict, silent)
	case silent >= m.idle && verdict != verify.Idle:
		m.Fatalf("of %s, %s elsewhere after %s", m.idle, verdict, silent)
	}
}

func (m *replicaModel) writeUses() {
	now, later := verify.PlanWrites(m.clock.now(), m.here.takeUses(), 1)
	for _, u := range later {
		m.here.RequeueUse(u)
	}
	for _, u := range now {
		u.MarkStored()
		for _, w := range []*fixture{m.here, m.there} { // the watch reports to both
			w.Set(func() record.Record { r := m.here.rec; r.LastUsedAt = u.At; return r }())
		}
	}
}
