package login_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apptoken/operator/internal/login"
)

// storeActor runs one operation on a replica of its own, one call of the store at a time.
type storeActor struct {
	*testReplica
	waits atomic.Bool
	next  chan fault

	opened login.Opened
	err    error
}

// startActors starts these operations, on replicas that are behind by some changes.
func (w *fixture) startActors(r *rand.Rand, do ...func(*testReplica) (login.Opened, error)) (all []*storeActor) {
	for _, does := range do {
		behind := r.IntN(5)
		a := &storeActor{testReplica: w.newReplica(func() int { return behind }), next: make(chan fault), err: errStoreDown}
		a.store.faultAt = func(int, string) fault {
			a.waits.Store(true)
			f := <-a.next
			a.waits.Store(false)
			return f
		}
		all = append(all, a)
		go func() {
			defer func() {
				if p := recover(); p != nil && p != (crash{}) {
					panic(p)
				}
			}()
			a.opened, a.err = does(a.testReplica)
		}()
	}
	return all
}

// interleave lets one actor after the other make a call, until all have ended. One call in wrong
// fails at random; 0: no call does.
func interleave(r *rand.Rand, wrong int, all []*storeActor) {
	for {
		synctest.Wait()
		var waiting []*storeActor
		for _, a := range all {
			if a.waits.Load() {
				waiting = append(waiting, a)
			}
		}
		if len(waiting) == 0 {
			return
		}
		f := noFault
		if wrong > 0 && r.IntN(wrong) == 0 {
			f = []fault{failBefore, loseResponse, crashBefore, crashAfter}[r.IntN(4)]
		}
		waiting[r.IntN(len(waiting))].next <- f
	}
}

// For every order of calls to the store, and for all faults and crashes: never are two pairs of a
// session valid, and the session is not lost, unless it was ended.
func TestRefresh_AnyInterleavingLeavesOneValidPair(t *testing.T) {
	type doing = func(*testReplica) (login.Opened, error)
	present := func(o login.Opened) doing { return func(s *testReplica) (login.Opened, error) { return s.refresh(o) } }
	masquerade := func(o login.Opened) doing {
		return func(s *testReplica) (login.Opened, error) {
			return s.Masquerade(s.fixture.t.Context(), o.Token.Digest(), 1002)
		}
	}
	end := func(o login.Opened) doing {
		return func(s *testReplica) (login.Opened, error) {
			return login.Opened{}, s.End(s.fixture.t.Context(), o.Token.Digest())
		}
	}
	endRefresh := func(o login.Opened) doing {
		return func(s *testReplica) (login.Opened, error) {
			return login.Opened{}, s.EndRefresh(s.fixture.t.Context(), o.Refresh, clientAddress)
		}
	}
	for what, x := range map[string]struct {
		do   func(before, last login.Opened) []doing
		ends bool // the session may have ended afterwards
		over bool // if the last operation succeeds, it has
	}{
		"two refresh":                    {func(_, l login.Opened) []doing { return []doing{present(l), present(l)} }, false, false},
		"three refresh":                  {func(_, l login.Opened) []doing { return []doing{present(l), present(l), present(l)} }, false, false},
		"two try again":                  {func(b, _ login.Opened) []doing { return []doing{present(b), present(b)} }, false, false},
		"three try again":                {func(b, _ login.Opened) []doing { return []doing{present(b), present(b), present(b)} }, false, false},
		"one refreshes, one tries again": {func(b, l login.Opened) []doing { return []doing{present(l), present(b)} }, false, false},
		"two refresh, two try again":     {func(b, l login.Opened) []doing { return []doing{present(l), present(b), present(l), present(b)} }, false, false},
		"one refreshes, one goes":        {func(_, l login.Opened) []doing { return []doing{present(l), masquerade(l)} }, true, false},
		"two go":                         {func(_, l login.Opened) []doing { return []doing{masquerade(l), masquerade(l)} }, true, false},
		"one refreshes, one logs out":    {func(_, l login.Opened) []doing { return []doing{present(l), end(l)} }, true, false},
		"two refresh, and one ends it":   {func(_, l login.Opened) []doing { return []doing{present(l), present(l), endRefresh(l)} }, true, true},
		"two try again, and one ends it": {func(b, _ login.Opened) []doing { return []doing{present(b), present(b), endRefresh(b)} }, true, true},
		"one goes, and one ends it":      {func(_, l login.Opened) []doing { return []doing{masquerade(l), endRefresh(l)} }, true, false},
		"one tries again, one goes":      {func(b, l login.Opened) []doing { return []doing{present(b), masquerade(l)} }, true, false},
		"one tries again, one logs out":  {func(b, l login.Opened) []doing { return []doing{present(b), end(l)} }, true, false},
	} {
		for _, wrong := range []int{0, 4, 12} {
			t.Run(fmt.Sprintf("%s, one call in %d goes wrong", what, wrong), func(t *testing.T) {
				for seed := range uint64(100) {
					synctest.Test(t, func(t *testing.T) {
						r := rand.New(rand.NewPCG(seed, uint64(wrong)))
						w := newFixture(t)
						s := w.newReplica(nil)
						before := s.openRefreshable()
						last := s.mustRefresh(before)
						w.clock.advance(2 * time.Second) // requests that come now are no part of the burst
						all := w.startActors(r, x.do(before, last)...)
						interleave(r, wrong, all)
						if err := w.checkSession(s, before, last, all, x.ends); err != nil {
							t.Fatalf("seed %d: %v", seed, err)
						}
						if x.over && all[len(all)-1].err == nil {
							for _, a := range all {
								if a.err == nil && a.opened.Refresh.Kind() != 0 && w.isValid(a.opened) {
									t.Fatalf("seed %d: a pair is good after the end of the session", seed)
								}
							}
						}
					})
				}
			})
		}
	}
}

// checkSession verifies the state of a session after all operations.
func (w *fixture) checkSession(s *testReplica, before, last login.Opened, all []*storeActor, ends bool) error {
	given := []login.Opened{before, last}
	for _, a := range all {
		if a.err == nil && a.opened.Token.Kind() != 0 {
			given = append(given, a.opened)
		}
	}
	good := 0
	for _, o := range given {
		if w.isValid(o) {
			good++
		}
	}
	if good > 1 {
		return fmt.Errorf("%d pairs are good", good)
	}
	w.clock.advance(2 * time.Second)
	for _, o := range given {
		next, err := s.refresh(o)
		if err != nil && !errors.Is(err, login.ErrDenied) {
			return err
		}
		if err == nil {
			if n := w.countSessionRecords(next); n != 1 || !w.isValid(next) {
				return fmt.Errorf("%d records, and the one that was given is good: %t", n, w.isValid(next))
			}
			if next, err = s.refresh(next); err != nil || !w.isValid(next) {
				return fmt.Errorf("it cannot be refreshed on: %w", err)
			}
			return nil
		}
	}
	if !ends {
		return errors.New("the session is lost")
	}
	return nil
}

// countSessionRecords returns how many records a session has.
func (w *fixture) countSessionRecords(o login.Opened) (n int) {
	for _, r := range w.allRecords() {
		if r.Refresh != nil && r.Refresh.Family == o.Record.Refresh.Family {
			n++
		}
	}
	return n
}
