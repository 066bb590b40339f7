package recordtest

import (
	"context"

	"github.com/apptoken/operator/internal/record"
)

// retirements returns the ways to retire a record, both of which the subtests cover.
func (s storeTest) retirements() map[string]func(context.Context, record.Record) error {
	return map[string]func(context.Context, record.Record) error{"Retire": s.Retire, "RetireAnyway": s.RetireAnyway}
}

func setSuspended(r *record.Record) { r.Suspended = true }

var retireTests = map[string]func(s storeTest){
	"a retired record is gone, at once [3.3]": func(s storeTest) {
		for how, retire := range s.retirements() {
			r, other := s.mustAdd(sample(how)), s.mustAdd(sample(how+", not"))
			s.waitForList(sampleOwner, r, other)
			s.wantNoError(how, retire(s.Context(), r))
			s.wantAbsent(r)
			s.wantStored(other)
			s.waitForList(sampleOwner, other)
			s.wantNoError(how, retire(s.Context(), other))
		}
	},
	"retiring twice is no error": func(s storeTest) {
		for first, retire := range s.retirements() {
			for second, again := range s.retirements() {
				r := s.mustAdd(sample(first + second))
				s.wantNoError(first, retire(s.Context(), r))
				// Read before retiring again: a deletion of a record that is gone already undoes
				// what the client knows of the deletion that it waits for.
				s.wantAbsent(r)
				s.wantNoError(second+" after "+first, again(s.Context(), r))
				s.wantAbsent(r)
			}
		}
	},
	"no change brings a retired record back [3.3]": func(s storeTest) {
		for how, retire := range s.retirements() {
			r := s.mustAdd(sample(how))
			s.wantNoError(how, retire(s.Context(), r))
			_, err := s.Change(s.Context(), r, modified(r, setSuspended))
			s.wantError("Change after "+how, err, record.ErrGone)
			s.wantAbsent(r)
		}
	},
	"what was read from a store is never added again [3.3]": func(s storeTest) {
		for how, retire := range s.retirements() {
			r := s.mustAdd(sample(how))
			if _, err := s.Add(s.Context(), r); err == nil {
				s.Error("added a second time: no error")
			}
			s.wantNoError(how, retire(s.Context(), r))
			if _, err := s.Add(s.Context(), r); err == nil {
				s.Errorf("added after %s: no error", how)
			}
			s.wantAbsent(r)
		}
	},
	"Retire of what has changed meanwhile is ErrStale": func(s storeTest) {
		first := s.mustAdd(sample("a"))
		second := s.mustChange(first, setSuspended)
		s.wantError("Retire", s.Retire(s.Context(), first), record.ErrStale)
		s.wantStored(second)
		s.wantNoError("Retire of what is", s.Retire(s.Context(), second))
		s.wantAbsent(second)
	},
	"RetireAnyway retires what has changed meanwhile": func(s storeTest) {
		first := s.mustAdd(sample("a"))
		s.mustChange(first, setSuspended)
		s.wantNoError("RetireAnyway", s.RetireAnyway(s.Context(), first))
		s.wantAbsent(first)
	},
	"a record that was restored since is another one": func(s storeTest) {
		first := s.mustAdd(sample("a"))
		s.wantNoError("Retire", s.Retire(s.Context(), first))
		second := s.mustAdd(fullSample("a"))
		_, err := s.Change(s.Context(), first, modified(first, setSuspended))
		s.wantError("Change of the first", err, record.ErrStale)
		s.wantError("Retire of the first", s.Retire(s.Context(), first), record.ErrStale)
		s.wantNoError("RetireAnyway of the first, which is gone", s.RetireAnyway(s.Context(), first))
		s.wantStored(second)
		s.wantNoError("RetireAnyway of the second", s.RetireAnyway(s.Context(), second))
		s.wantAbsent(second)
	},
	"success means that it is gone [3.8]": func(s storeTest) {
		for how, retire := range s.retirements() {
			added := s.mustAdd(sample(how))
			over, cancel := context.WithCancel(s.Context())
			cancel()
			if err := retire(over, added); err == nil {
				s.Errorf("%s: no error once the context is over", how)
			}
			s.wantStored(added)
			// A record that was built and not read does not name the version that it means.
			if err := retire(s.Context(), sample(how)); err == nil {
				s.Errorf("%s: no error of a record that was not read from the store", how)
			}
			s.wantStored(added)
		}
	},
}
