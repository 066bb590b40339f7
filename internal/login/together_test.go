package login_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/token"
)

// together presents one refresh token each times on each of the replicas, with the same arrival
// time. It returns the pairs that the requests got.
func together(t *testing.T, each int, tok token.Token, arrived time.Time, replicas ...*one) (got []login.Opened) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for range each {
		for _, s := range replicas {
			all.Go(func() {
				o, err := s.Refresh(t.Context(), tok, "", home, arrived)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					got = append(got, o)
				case !errors.Is(err, login.ErrDenied) && !errors.Is(err, login.ErrUnavailable) && !isLimited(err):
					t.Errorf("one of many: %v", err)
				}
			})
		}
	}
	all.Wait()
	return got
}

// isLimited reports whether a caller has to try again later. On a replica whose cache lacks the
// session, each request reads from the API server. Their source has a limited number of reads at
// one instant.
func isLimited(err error) bool {
	_, ok := errors.AsType[*login.Limited](err)
	return ok
}

// Threats row 19.
func TestOfManyWhoPresentOneRefreshTokenTogetherOneHasSuccess(t *testing.T) {
	for range 20 {
		w := newWorld(t)
		s := w.replica(nil)
		first := s.pair()
		arrived := w.clock.now()
		w.clock.step(10 * time.Millisecond)
		got := together(t, 50, first.Refresh, arrived, s)
		if len(got) != 1 || !w.holds(got[0]) || len(w.all()) != 1 || w.replayed.Load() != 0 {
			t.Fatalf("%d had success, %d records, %d replays", len(got), len(w.all()), w.replayed.Load())
		}
		w.clock.step(time.Minute)
		s.good(got[0])
	}
}

// Replicas have only the API server in common, and their caches are behind. Several requests may
// succeed there, but one after the other, and each new pair replaces the previous one.
func TestOfManyWhoPresentOneRefreshTokenToSeveralReplicasOnePairIsGood(t *testing.T) {
	for round := range 60 {
		w := newWorld(t)
		behind := func() int { return round % 6 }
		replicas := []*one{w.replica(behind), w.replica(behind), w.replica(behind)}
		first := replicas[0].pair()
		arrived := w.clock.now()
		w.clock.step(10 * time.Millisecond)
		got := together(t, 50, first.Refresh, arrived, replicas...)
		good := slices.DeleteFunc(slices.Clone(got), func(o login.Opened) bool { return !w.holds(o) })
		if len(good) != 1 || len(w.all()) != 1 || w.replayed.Load() != 0 {
			t.Fatalf("round %d: %d had success, %d of them are good, %d records, %d replays", round, len(got), len(good), len(w.all()), w.replayed.Load())
		}
		w.clock.step(time.Minute)
		replicas[round%3].good(good[0])
	}
}

// turns lets a test step through the calls of a store.
type turns struct {
	reached chan string
	goOn    chan struct{}
}

// holdAt stops a replica before it calls the store method of that name.
func (s *one) holdAt(name string) turns {
	at := turns{make(chan string), make(chan struct{})}
	s.store.fail = func(_ int, call string) fault {
		if call == name {
			at.reached <- call
			<-at.goOn
		}
		return works
	}
	return at
}

// Requests that arrive while the first one is served belong to its burst, for a while. Later
// requests come from clients that gave up waiting; they get ErrUnavailable.
func TestWhoeverComesAgainWhileTheFirstIsServedIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.replica(nil)
		first := s.pair()
		at := s.holdAt("Claim")
		said := make(chan error)
		go func() {
			_, err := s.refresh(first)
			said <- err
		}()
		<-at.reached
		w.clock.step(login.RushHour - 1)
		_, err := s.refresh(first)
		denied(t, "at the same time", err)
		w.clock.step(1)
		if _, err = s.refresh(first); !errors.Is(err, login.ErrUnavailable) {
			t.Errorf("later: %v", err)
		}
		at.goOn <- struct{}{}
		if err := <-said; err != nil {
			t.Fatal(err)
		}
		s.store.fail = nil
		_, err = s.Refresh(t.Context(), first.Refresh, "", home, noon.Add(login.RushHour-1))
		denied(t, "one that came at the same time, and is looked at now", err)
		_, err = s.refresh(first) // several requests arrived
		denied(t, "one that comes now", err)
		w.clock.step(login.RushHour)
		s.good(first)
	})
}

// A retry by a client that gave up waiting, before the first request was answered, is no part of
// its burst.
func TestWhoeverCameAgainBeforeTheAnswerIsNotOfTheRush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.replica(nil)
		first := s.pair()
		at := s.holdAt("Claim")
		go func() { _, _ = s.refresh(first) }()
		<-at.reached
		w.clock.step(5 * time.Second)
		at.goOn <- struct{}{}
		synctest.Wait()
		s.store.fail = nil
		for arrived, want := range map[time.Duration]bool{0: false, login.RushHour - 1: false} {
			if _, err := s.Refresh(t.Context(), first.Refresh, "", home, noon.Add(arrived)); (err == nil) != want {
				t.Errorf("%s after the first: %v", arrived, err)
			}
		}
		if _, err := s.Refresh(t.Context(), first.Refresh, "", home, noon.Add(login.RushHour)); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

// If the first of several requests fails, none of them belongs to a burst.
func TestAfterARushOfWhichNobodyHadSuccessOneHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.replica(nil)
		first := s.pair()
		at := s.holdAt("Claim")
		hold := s.store.fail
		s.store.fail = func(call int, name string) fault {
			if hold(call, name); name == "Claim" {
				return fails
			}
			return works
		}
		go func() { _, _ = s.refresh(first) }()
		<-at.reached
		_, err := s.refresh(first)
		denied(t, "at the same time", err)
		at.goOn <- struct{}{}
		synctest.Wait()
		s.store.fail = nil
		s.good(first)
	})
}

// If two retries compete, the later one leaves no record.
func TestARetryThatIsOvertakenLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, there := w.replica(nil), w.replica(nil)
		first := s.pair()
		s.good(first)
		w.clock.step(2 * time.Second)
		at := there.holdAt("Claim")
		said := make(chan error)
		go func() {
			_, err := there.refresh(first)
			said <- err
		}()
		<-at.reached
		last := s.good(first)
		at.goOn <- struct{}{}
		denied(t, "the one that came too late", <-said)
		if len(w.all()) != 1 || !w.holds(last) {
			t.Errorf("%d records", len(w.all()))
		}
	})
}

// If another replica served the first request of a burst, the concurrent requests are rejected. A
// single request comes from a client that did not get the response.
func TestARushThatWasDecidedElsewhereHasNoSecondSuccess(t *testing.T) {
	for others := range 3 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			s, there := w.replica(nil), w.replica(nil)
			first := s.pair()
			last := s.good(first)
			w.clock.step(10 * time.Millisecond)
			at := there.holdAt("Family")
			said := make(chan error)
			go func() {
				_, err := there.refresh(first)
				said <- err
			}()
			<-at.reached
			for range others {
				_, err := there.refresh(first)
				denied(t, "at the same time", err)
			}
			at.goOn <- struct{}{}
			<-at.reached // the read from the API server
			at.goOn <- struct{}{}
			if err := <-said; (err == nil) != (others == 0) || w.holds(last) != (others > 0) {
				t.Errorf("beside %d others: %v; the first pair is good: %t", others, err, w.holds(last))
			}
		})
	}
}

// The refresh token that a burst ended with is no part of it.
func TestTheNextRefreshTokenIsGoodAtOnceAfterARush(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	first := s.pair()
	got := together(t, 50, first.Refresh, w.clock.now(), s)
	last := got[slices.IndexFunc(got, w.holds)]
	s.good(s.good(last))
}

// A replica whose cache is behind may take a token for the current one. A request that presents it
// is no part of the burst if the token was used up long before. The instant is known to the second.
func TestWhoeverComesLaterToAReplicaThatIsBehindIsNotOfTheRush(t *testing.T) {
	for _, fraction := range []time.Duration{0, 990 * time.Millisecond} {
		for after, want := range map[time.Duration]bool{
			0: false, 15 * time.Millisecond: false, login.RushHour - 1: false, time.Second + login.RushHour: true, login.RetryWindow - time.Second: true, login.RetryWindow: false,
		} {
			w := newWorld(t)
			behind := 0
			s, there := w.replica(nil), w.replica(func() int { return behind })
			first := s.pair()
			if _, err := there.store.Of(t.Context(), first.Record.Owner); err != nil {
				t.Fatal(err)
			}
			behind = 100
			w.clock.step(fraction)
			last := s.good(first)
			w.clock.step(after)
			next, err := there.refresh(first)
			if (err == nil) != want {
				t.Errorf("after %s, at %s: %v", after, fraction, err)
			}
			if n := len(w.all()); n != 1 && after < login.RetryWindow || after == login.RetryWindow && (n != 0 || w.replayed.Load() != 1) {
				t.Errorf("after %s, at %s: %d records", after, fraction, n)
			}
			if !want && after < login.RetryWindow && !w.holds(last) || want && !w.holds(next) {
				t.Errorf("after %s, at %s: the pair is not good", after, fraction)
			}
		}
	}
}
