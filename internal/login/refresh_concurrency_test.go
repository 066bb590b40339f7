package login_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// presentConcurrently presents one refresh token each times on each of the replicas, with the same
// arrival time. It returns the pairs that the requests got.
func presentConcurrently(t *testing.T, each int, tok token.Token, arrived time.Time, replicas ...*testReplica) (got []login.Opened) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for range each {
		for _, s := range replicas {
			all.Go(func() {
				o, err := s.Refresh(t.Context(), tok, "", clientAddress, arrived)
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
func TestRefresh_OneOfManyConcurrentSucceeds(t *testing.T) {
	for range 20 {
		w := newFixture(t)
		s := w.newReplica(nil)
		first := s.openRefreshable()
		arrived := w.clock.now()
		w.clock.advance(10 * time.Millisecond)
		got := presentConcurrently(t, 50, first.Refresh, arrived, s)
		if len(got) != 1 || !w.isValid(got[0]) || len(w.allRecords()) != 1 || w.replayCount.Load() != 0 {
			t.Fatalf("%d had success, %d records, %d replays", len(got), len(w.allRecords()), w.replayCount.Load())
		}
		w.clock.advance(time.Minute)
		s.mustRefresh(got[0])
	}
}

// Replicas have only the API server in common, and their caches are behind. Several requests may
// succeed there, but one after the other, and each new pair replaces the previous one.
func TestRefresh_ConcurrentReplicasLeaveOneValidPair(t *testing.T) {
	for round := range 60 {
		w := newFixture(t)
		behind := func() int { return round % 6 }
		replicas := []*testReplica{w.newReplica(behind), w.newReplica(behind), w.newReplica(behind)}
		first := replicas[0].openRefreshable()
		arrived := w.clock.now()
		w.clock.advance(10 * time.Millisecond)
		got := presentConcurrently(t, 50, first.Refresh, arrived, replicas...)
		good := slices.DeleteFunc(slices.Clone(got), func(o login.Opened) bool { return !w.isValid(o) })
		if len(good) != 1 || len(w.allRecords()) != 1 || w.replayCount.Load() != 0 {
			t.Fatalf("round %d: %d had success, %d of them are good, %d records, %d replays", round, len(got), len(good), len(w.allRecords()), w.replayCount.Load())
		}
		w.clock.advance(time.Minute)
		replicas[round%3].mustRefresh(good[0])
	}
}

// pausePoint lets a test step through the calls of a store.
type pausePoint struct {
	reached chan string
	resume  chan struct{}
}

// pauseAt stops a replica before it calls the store method of that name.
func (s *testReplica) pauseAt(name string) pausePoint {
	at := pausePoint{make(chan string), make(chan struct{})}
	s.store.faultAt = func(_ int, call string) fault {
		if call == name {
			at.reached <- call
			<-at.resume
		}
		return noFault
	}
	return at
}

// Requests that arrive while the first one is served belong to its burst, for a while. Later
// requests come from clients that gave up waiting; they get ErrUnavailable.
func TestRefresh_BurstWhileServedIsDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s := w.newReplica(nil)
		first := s.openRefreshable()
		at := s.pauseAt("Claim")
		said := make(chan error)
		go func() {
			_, err := s.refresh(first)
			said <- err
		}()
		<-at.reached
		w.clock.advance(login.BurstWindow - 1)
		_, err := s.refresh(first)
		wantDenied(t, "at the same time", err)
		w.clock.advance(1)
		if _, err = s.refresh(first); !errors.Is(err, login.ErrUnavailable) {
			t.Errorf("later: %v", err)
		}
		at.resume <- struct{}{}
		if err := <-said; err != nil {
			t.Fatal(err)
		}
		s.store.faultAt = nil
		_, err = s.Refresh(t.Context(), first.Refresh, "", clientAddress, noon.Add(login.BurstWindow-1))
		wantDenied(t, "one that came at the same time, and is looked at now", err)
		_, err = s.refresh(first) // several requests arrived
		wantDenied(t, "one that comes now", err)
		w.clock.advance(login.BurstWindow)
		s.mustRefresh(first)
	})
}

// A retry by a client that gave up waiting, before the first request was answered, is no part of
// its burst.
func TestRefresh_RetryBeforeResponseIsNoBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s := w.newReplica(nil)
		first := s.openRefreshable()
		at := s.pauseAt("Claim")
		go func() { _, _ = s.refresh(first) }()
		<-at.reached
		w.clock.advance(5 * time.Second)
		at.resume <- struct{}{}
		synctest.Wait()
		s.store.faultAt = nil
		for arrived, want := range map[time.Duration]bool{0: false, login.BurstWindow - 1: false} {
			if _, err := s.Refresh(t.Context(), first.Refresh, "", clientAddress, noon.Add(arrived)); (err == nil) != want {
				t.Errorf("%s after the first: %v", arrived, err)
			}
		}
		if _, err := s.Refresh(t.Context(), first.Refresh, "", clientAddress, noon.Add(login.BurstWindow)); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

// If the first of several requests fails, none of them belongs to a burst.
func TestRefresh_SucceedsAfterFailedBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s := w.newReplica(nil)
		first := s.openRefreshable()
		at := s.pauseAt("Claim")
		hold := s.store.faultAt
		s.store.faultAt = func(call int, name string) fault {
			if hold(call, name); name == "Claim" {
				return failBefore
			}
			return noFault
		}
		go func() { _, _ = s.refresh(first) }()
		<-at.reached
		_, err := s.refresh(first)
		wantDenied(t, "at the same time", err)
		at.resume <- struct{}{}
		synctest.Wait()
		s.store.faultAt = nil
		s.mustRefresh(first)
	})
}

// If two retries compete, the later one leaves no record.
func TestRefresh_OvertakenRetryLeavesNoRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s, there := w.newReplica(nil), w.newReplica(nil)
		first := s.openRefreshable()
		s.mustRefresh(first)
		w.clock.advance(2 * time.Second)
		at := there.pauseAt("Claim")
		said := make(chan error)
		go func() {
			_, err := there.refresh(first)
			said <- err
		}()
		<-at.reached
		last := s.mustRefresh(first)
		at.resume <- struct{}{}
		wantDenied(t, "the one that came too late", <-said)
		if len(w.allRecords()) != 1 || !w.isValid(last) {
			t.Errorf("%d records", len(w.allRecords()))
		}
	})
}

// If another replica served the first request of a burst, the concurrent requests are rejected. A
// single request comes from a client that did not get the response.
func TestRefresh_BurstServedElsewhereIsDenied(t *testing.T) {
	for others := range 3 {
		synctest.Test(t, func(t *testing.T) {
			w := newFixture(t)
			s, there := w.newReplica(nil), w.newReplica(nil)
			first := s.openRefreshable()
			last := s.mustRefresh(first)
			w.clock.advance(10 * time.Millisecond)
			at := there.pauseAt("Family")
			said := make(chan error)
			go func() {
				_, err := there.refresh(first)
				said <- err
			}()
			<-at.reached
			for range others {
				_, err := there.refresh(first)
				wantDenied(t, "at the same time", err)
			}
			at.resume <- struct{}{}
			<-at.reached // the read from the API server
			at.resume <- struct{}{}
			if err := <-said; (err == nil) != (others == 0) || w.isValid(last) != (others > 0) {
				t.Errorf("beside %d others: %v; the first pair is good: %t", others, err, w.isValid(last))
			}
		})
	}
}

// The refresh token that a burst ended with is no part of it.
func TestRefresh_NextTokenIsValidAfterBurst(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	first := s.openRefreshable()
	got := presentConcurrently(t, 50, first.Refresh, w.clock.now(), s)
	last := got[slices.IndexFunc(got, w.isValid)]
	s.mustRefresh(s.mustRefresh(last))
}

// A replica whose cache is behind may take a token for the current one. A request that presents it
// is no part of the burst if the token was used up long before. The instant is known to the second.
func TestRefresh_LaterRetryOnStaleReplicaIsNoBurst(t *testing.T) {
	for _, fraction := range []time.Duration{0, 990 * time.Millisecond} {
		for after, want := range map[time.Duration]bool{
			0: false, 15 * time.Millisecond: false, login.BurstWindow - 1: false, time.Second + login.BurstWindow: true, login.RetryWindow - time.Second: true, login.RetryWindow: false,
		} {
			w := newFixture(t)
			behind := 0
			s, there := w.newReplica(nil), w.newReplica(func() int { return behind })
			first := s.openRefreshable()
			if _, err := there.store.ListLogins(t.Context(), record.LoginQuery{User: first.Record.Owner, Kind: token.Login}); err != nil {
				t.Fatal(err)
			}
			behind = 100
			w.clock.advance(fraction)
			last := s.mustRefresh(first)
			w.clock.advance(after)
			next, err := there.refresh(first)
			if (err == nil) != want {
				t.Errorf("after %s, at %s: %v", after, fraction, err)
			}
			if n := len(w.allRecords()); n != 1 && after < login.RetryWindow || after == login.RetryWindow && (n != 0 || w.replayCount.Load() != 1) {
				t.Errorf("after %s, at %s: %d records", after, fraction, n)
			}
			if !want && after < login.RetryWindow && !w.isValid(last) || want && !w.isValid(next) {
				t.Errorf("after %s, at %s: the pair is not good", after, fraction)
			}
		}
	}
}
