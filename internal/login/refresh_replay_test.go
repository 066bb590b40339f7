package login_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
)

// A thief is noticed however often they refresh. A used-up token is excused for half a minute and
// no longer, even if other tokens were used up since.
func TestRefresh_ReplayIsNoticedDespiteFrequentRefresh(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 5 * time.Second, 29 * time.Second} {
		w := newFixture(t)
		s := w.newReplica(nil)
		stolen := s.openRefreshable()
		last := s.mustRefresh(s.mustRefresh(stolen))
		began := w.clock.now()
		for w.replayCount.Load() == 0 && w.clock.now().Sub(began) < 10*time.Minute {
			w.clock.advance(every)
			last = s.mustRefresh(last)
			_, err := s.refresh(stolen)
			wantDenied(t, "its owner", err)
		}
		if took := w.clock.now().Sub(began); took > login.RetryWindow+every || w.isValid(last) {
			t.Errorf("every %s: noticed after %s, and its session goes on: %t", every, took, w.isValid(last))
		}
	}
}

// A client that refreshes twice within a moment, and presents an old token late, loses nothing.
func TestRefresh_RecentlyUsedTokenEndsNothing(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	pairs := []login.Opened{s.openRefreshable()}
	for range record.MaxRecent {
		pairs = append(pairs, s.mustRefresh(pairs[len(pairs)-1]))
		w.clock.advance(time.Second)
	}
	last := pairs[len(pairs)-1]
	for _, early := range pairs[:login.SessionBurst] {
		_, err := s.refresh(early)
		wantDenied(t, "one used up just now", err)
	}
	if w.replayCount.Load() != 0 || !w.isValid(last) {
		t.Errorf("taken for a theft %d times; the last is good: %t", w.replayCount.Load(), w.isValid(last))
	}
	s.mustRefresh(last)
}
