package recordtest

import (
	"context"

	"github.com/apptoken/operator/internal/record"
)

// retirements returns the ways to retire a record, both of which the subtests cover.
func (s trial) retirements() map[string]func(context.Context, record.Record) error {
	return map[string]func(context.Context, record.Record) error{"Retire": s.Retire, "RetireAnyway": s.RetireAnyway}
}

func suspend(r *record.Record) { r.Suspended = true }

var retiring = map[string]func(s trial){
	"a retired record is gone, at once [3.3]": func(s trial) {
		for how, retire := range s.retirements() {
			r, other := s.added(sample(how)), s.added(sample(how+", not"))
			s.lists(indexer, r, other)
			s.done(how, retire(s.Context(), r))
			s.lacks(r)
			s.holds(other)
			s.lists(indexer, other)
			s.done(how, retire(s.Context(), other))
		}
	},
	"retiring twice is no error": func(s trial) {
		for first, retire := range s.retirements() {
			for second, again := range s.retirements() {
				r := s.added(sample(first + second))
				s.done(first, retire(s.Context(), r))
				// Read before retiring again: a deletion of a record that is gone already undoes
				// what the client knows of the deletion that it waits for.
				s.lacks(r)
				s.done(second+" after "+first, again(s.Context(), r))
				s.lacks(r)
			}
		}
	},
	"no change brings a retired record back [3.3]": func(s trial) {
		for how, retire := range s.retirements() {
			r := s.added(sample(how))
			s.done(how, retire(s.Context(), r))
			_, err := s.Change(s.Context(), r, twisted(r, suspend))
			s.fails("Change after "+how, err, record.ErrGone)
			s.lacks(r)
		}
	},
	"what was read from a store is never added again [3.3]": func(s trial) {
		for how, retire := range s.retirements() {
			r := s.added(sample(how))
			if _, err := s.Add(s.Context(), r); err == nil {
				s.Error("added a second time: no error")
			}
			s.done(how, retire(s.Context(), r))
			if _, err := s.Add(s.Context(), r); err == nil {
				s.Errorf("added after %s: no error", how)
			}
			s.lacks(r)
		}
	},
	"Retire of what has changed meanwhile is ErrStale": func(s trial) {
		first := s.added(sample("a"))
		second := s.changed(first, suspend)
		s.fails("Retire", s.Retire(s.Context(), first), record.ErrStale)
		s.holds(second)
		s.done("Retire of what is", s.Retire(s.Context(), second))
		s.lacks(second)
	},
	"RetireAnyway retires what has changed meanwhile": func(s trial) {
		first := s.added(sample("a"))
		s.changed(first, suspend)
		s.done("RetireAnyway", s.RetireAnyway(s.Context(), first))
		s.lacks(first)
	},
	"a record that was restored since is another one": func(s trial) {
		first := s.added(sample("a"))
		s.done("Retire", s.Retire(s.Context(), first))
		second := s.added(full("a"))
		_, err := s.Change(s.Context(), first, twisted(first, suspend))
		s.fails("Change of the first", err, record.ErrStale)
		s.fails("Retire of the first", s.Retire(s.Context(), first), record.ErrStale)
		s.done("RetireAnyway of the first, which is gone", s.RetireAnyway(s.Context(), first))
		s.holds(second)
		s.done("RetireAnyway of the second", s.RetireAnyway(s.Context(), second))
		s.lacks(second)
	},
	"success means that it is gone [3.8]": func(s trial) {
		for how, retire := range s.retirements() {
			added := s.added(sample(how))
			over, cancel := context.WithCancel(s.Context())
			cancel()
			if err := retire(over, added); err == nil {
				s.Errorf("%s: no error once the context is over", how)
			}
			s.holds(added)
			// A record that was built and not read does not name the version that it means.
			if err := retire(s.Context(), sample(how)); err == nil {
				s.Errorf("%s: no error of a record that was not read from the store", how)
			}
			s.holds(added)
		}
	},
}
