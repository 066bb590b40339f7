package recordtest

import (
	"errors"
	"sync"

	"github.com/apptoken/operator/internal/record"
)

// concurrentCallers is the number of concurrent callers.
const concurrentCallers = 8

// runConcurrently runs try in all racers at once, and returns their errors when the last one has
// ended.
func runConcurrently(try func(racer int) error) []error {
	errs := make([]error, concurrentCallers)
	var ready, ended sync.WaitGroup
	ready.Add(concurrentCallers)
	for i := range concurrentCallers {
		ended.Go(func() {
			ready.Done()
			ready.Wait()
			errs[i] = try(i)
		})
	}
	ended.Wait()
	return errs
}

// wantOneWinner asserts that one racer succeeded and that all others got that error, and returns
// the winner.
func (s storeTest) wantOneWinner(errs []error, others error) int {
	s.Helper()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			s.Fatalf("%d and %d have won", winner, i)
		case err == nil:
			winner = i
		default:
			s.wantError("a loser", err, others)
		}
	}
	if winner < 0 {
		s.Fatal("no caller has won")
	}
	return winner
}

var raceTests = map[string]func(s storeTest){
	"of many who add one record, one succeeds": func(s storeTest) {
		entry := func(i int) record.Record {
			return modified(sample("a"), func(r *record.Record) { r.Version = int64(i + 1) })
		}
		winner := s.wantOneWinner(runConcurrently(func(i int) error {
			_, err := s.Add(s.Context(), entry(i))
			return err
		}), record.ErrExists)
		s.wantStored(entry(winner))
	},
	"of many who change one revision, one succeeds [3.4]": func(s storeTest) {
		now := s.mustAdd(sample("a"))
		for range 5 {
			entry := func(i int) record.Record {
				return modified(now, func(r *record.Record) { r.Version = 10*r.Version + int64(i) })
			}
			winner := s.wantOneWinner(runConcurrently(func(i int) error {
				_, err := s.Change(s.Context(), now, entry(i))
				return err
			}), record.ErrStale)
			s.wantStored(entry(winner))
			now = s.must(s.Confirm(s.Context(), now.Name()))
		}
	},
	"no change is lost": func(s storeTest) {
		const each = 3
		name := s.mustAdd(sample("a")).Name()
		for _, err := range runConcurrently(func(int) error {
			for done := 0; done < each; {
				now, err := s.Get(s.Context(), name)
				if err != nil {
					return err
				}
				_, err = s.Change(s.Context(), now, modified(now, func(r *record.Record) { r.Version++ }))
				if err != nil && !errors.Is(err, record.ErrStale) {
					return err
				}
				if err == nil {
					done++
				}
			}
			return nil
		}) {
			s.wantNoError("a racer", err)
		}
		s.wantStored(modified(sample("a"), func(r *record.Record) { r.Version = 1 + concurrentCallers*each }))
	},
	"many may retire one record": func(s storeTest) {
		for how, retire := range s.retirements() {
			r := s.mustAdd(sample(how))
			for _, err := range runConcurrently(func(int) error { return retire(s.Context(), r) }) {
				s.wantNoError(how, err)
			}
			_, err := s.Confirm(s.Context(), r.Name())
			s.wantError("Confirm after "+how, err, record.ErrGone)
			s.waitForList(sampleOwner)
		}
	},
	"a record is changed or retired, not both": func(s storeTest) {
		now := s.mustAdd(sample("a"))
		changed := modified(now, setSuspended)
		errs := runConcurrently(func(i int) error {
			if i%2 == 0 {
				return s.Retire(s.Context(), now)
			}
			_, err := s.Change(s.Context(), now, changed)
			return err
		})
		var changes, retirements int
		for i, err := range errs {
			switch {
			case err == nil && i%2 == 0:
				retirements++
			case err == nil:
				changes++
			case !errors.Is(err, record.ErrStale) && !errors.Is(err, record.ErrGone):
				s.Error(err)
			}
		}
		_, err := s.Confirm(s.Context(), now.Name())
		switch {
		case changes == 1 && retirements == 0:
			s.wantStored(changed)
		case changes == 0 && retirements > 0:
			s.wantError("Confirm", err, record.ErrGone)
		default:
			s.Errorf("%d changes and %d retirements have won", changes, retirements)
		}
	},
}
