package login_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
)

// A thief is noticed however often they refresh. A used-up token is excused for half a minute and
// no longer, even if other tokens were used up since.
func TestAThiefWhoRefreshesAllTheTimeIsNoticed(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 5 * time.Second, 29 * time.Second} {
		w := newWorld(t)
		s := w.replica(nil)
		stolen := s.pair()
		last := s.good(s.good(stolen))
		began := w.clock.now()
		for w.replayed.Load() == 0 && w.clock.now().Sub(began) < 10*time.Minute {
			w.clock.step(every)
			last = s.good(last)
			_, err := s.refresh(stolen)
			denied(t, "its owner", err)
		}
		if took := w.clock.now().Sub(began); took > login.RetryWindow+every || w.holds(last) {
			t.Errorf("every %s: noticed after %s, and its session goes on: %t", every, took, w.holds(last))
		}
	}
}

// A client that refreshes twice within a moment, and presents an old token late, loses nothing.
func TestWhatWasUsedUpJustNowEndsNothing(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	pairs := []login.Opened{s.pair()}
	for range record.MaxRecent {
		pairs = append(pairs, s.good(pairs[len(pairs)-1]))
		w.clock.step(time.Second)
	}
	last := pairs[len(pairs)-1]
	for _, early := range pairs[:login.SessionBurst] {
		_, err := s.refresh(early)
		denied(t, "one used up just now", err)
	}
	if w.replayed.Load() != 0 || !w.holds(last) {
		t.Errorf("taken for a theft %d times; the last is good: %t", w.replayed.Load(), w.holds(last))
	}
	s.good(last)
}
