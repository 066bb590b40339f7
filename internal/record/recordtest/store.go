package recordtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// Store is a store of records. Its errors are those of package record.
type Store interface {
	Add(ctx context.Context, r record.Record) (record.Record, error)
	Change(ctx context.Context, before, after record.Record) (record.Record, error)
	Renew(ctx context.Context, stored, r record.Record) (record.Record, error)
	Retire(ctx context.Context, r record.Record) error
	RetireAnyway(ctx context.Context, r record.Record) error
	Get(ctx context.Context, name string) (record.Record, error)
	Confirm(ctx context.Context, name string) (record.Record, error)
	Find(ctx context.Context, d token.Digest) (record.Record, error)
	Of(ctx context.Context, owner record.Owner) ([]record.Record, error)
}

// Run runs the suite against a store. Each call of open must return an empty one.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, part := range []map[string]func(s trial){adding, changing, retiring, listing, racing} {
		for _, sentence := range slices.Sorted(maps.Keys(part)) {
			t.Run(sentence, func(t *testing.T) {
				t.Parallel()
				part[sentence](trial{t, open(t), open})
			})
		}
	}
}

// trial is a store under test.
type trial struct {
	*testing.T
	Store
	open func(t *testing.T) Store
}

func (s trial) must(r record.Record, err error) record.Record {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func (s trial) added(r record.Record) record.Record {
	s.Helper()
	return s.must(s.Add(s.Context(), r))
}

// changed changes a record, and returns its new state.
func (s trial) changed(before record.Record, twist func(*record.Record)) record.Record {
	s.Helper()
	return s.must(s.Change(s.Context(), before, twisted(before, twist)))
}

// done asserts that there was no error.
func (s trial) done(what string, err error) {
	s.Helper()
	if err != nil {
		s.Errorf("%s: %v", what, err)
	}
}

// fails asserts that err is want.
func (s trial) fails(what string, err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("%s: the error is %v, want %v", what, err, want)
	}
}

// holds asserts that the store returns this record, by each way to read it.
func (s trial) holds(want record.Record) {
	s.Helper()
	for way, got := range s.ways(want) {
		if got.err != nil {
			s.Errorf("%s: %v", way, got.err)
		} else {
			s.equal(way, got.Record, want)
		}
	}
}

// lacks asserts that the store has no such record, by each way to read it.
func (s trial) lacks(r record.Record) {
	s.Helper()
	for way, got := range s.ways(r) {
		s.fails(way, got.err, record.ErrGone)
		s.equal(way+", beside its error,", got.Record, record.Record{})
	}
}

type answer struct {
	record.Record
	err error
}

func (s trial) ways(r record.Record) map[string]answer {
	ask := func(r record.Record, err error) answer { return answer{r, err} }
	return map[string]answer{
		"Get":     ask(s.Get(s.Context(), r.Name())),
		"Confirm": ask(s.Confirm(s.Context(), r.Name())),
		"Find":    ask(s.Find(s.Context(), r.Digest)),
	}
}

// lists waits until the store lists exactly these records for an owner.
func (s trial) lists(owner record.Owner, want ...record.Record) {
	s.Helper()
	var got []string
	err := wait.PollUntilContextTimeout(s.Context(), 5*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		rs, err := s.Of(ctx, owner)
		got = got[:0]
		for _, r := range rs {
			got = append(got, r.Name())
		}
		slices.Sort(got)
		return slices.Equal(got, names(want)), err
	})
	if err != nil {
		s.Errorf("the records of %+v are %v, want %v (%v)", owner, got, names(want), err)
	}
}

func names(rs []record.Record) []string {
	all := make([]string, 0, len(rs))
	for _, r := range rs {
		all = append(all, r.Name())
	}
	slices.Sort(all)
	return all
}
