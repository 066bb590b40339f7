package recordtest

import (
	"errors"
	"sync"

	"github.com/apptoken/operator/internal/record"
)

// racers is the number of concurrent callers.
const racers = 8

// race runs try in all racers at once, and returns their errors when the last one has ended.
func race(try func(racer int) error) []error {
	errs := make([]error, racers)
	var ready, ended sync.WaitGroup
	ready.Add(racers)
	for i := range racers {
		ended.Go(func() {
			ready.Done()
			ready.Wait()
			errs[i] = try(i)
		})
	}
	ended.Wait()
	return errs
}

// one asserts that one racer succeeded and that all others got that error, and returns the winner.
func (s trial) one(errs []error, others error) int {
	s.Helper()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			s.Fatalf("%d and %d have won", winner, i)
		case err == nil:
			winner = i
		default:
			s.fails("a loser", err, others)
		}
	}
	if winner < 0 {
		s.Fatal("nobody has won")
	}
	return winner
}

var racing = map[string]func(s trial){
	"of many who add one record, one succeeds": func(s trial) {
		entry := func(i int) record.Record {
			return twisted(sample("a"), func(r *record.Record) { r.Version = int64(i + 1) })
		}
		winner := s.one(race(func(i int) error {
			_, err := s.Add(s.Context(), entry(i))
			return err
		}), record.ErrExists)
		s.holds(entry(winner))
	},
	"of many who change one revision, one succeeds [3.4]": func(s trial) {
		now := s.added(sample("a"))
		for range 5 {
			entry := func(i int) record.Record {
				return twisted(now, func(r *record.Record) { r.Version = 10*r.Version + int64(i) })
			}
			winner := s.one(race(func(i int) error {
				_, err := s.Change(s.Context(), now, entry(i))
				return err
			}), record.ErrStale)
			s.holds(entry(winner))
			now = s.must(s.Confirm(s.Context(), now.Name()))
		}
	},
	"no change is lost": func(s trial) {
		const each = 3
		name := s.added(sample("a")).Name()
		for _, err := range race(func(int) error {
			for done := 0; done < each; {
				now, err := s.Get(s.Context(), name)
				if err != nil {
					return err
				}
				_, err = s.Change(s.Context(), now, twisted(now, func(r *record.Record) { r.Version++ }))
				if err != nil && !errors.Is(err, record.ErrStale) {
					return err
				}
				if err == nil {
					done++
				}
			}
			return nil
		}) {
			s.done("a racer", err)
		}
		s.holds(twisted(sample("a"), func(r *record.Record) { r.Version = 1 + racers*each }))
	},
	"many may retire one record": func(s trial) {
		for how, retire := range s.retirements() {
			r := s.added(sample(how))
			for _, err := range race(func(int) error { return retire(s.Context(), r) }) {
				s.done(how, err)
			}
			_, err := s.Confirm(s.Context(), r.Name())
			s.fails("Confirm after "+how, err, record.ErrGone)
			s.lists(indexer)
		}
	},
	"a record is changed or retired, not both": func(s trial) {
		now := s.added(sample("a"))
		changed := twisted(now, suspend)
		errs := race(func(i int) error {
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
			s.holds(changed)
		case changes == 0 && retirements > 0:
			s.fails("Confirm", err, record.ErrGone)
		default:
			s.Errorf("%d changes and %d retirements have won", changes, retirements)
		}
	},
}
