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
	ListByOwner(ctx context.Context, owner record.Owner) ([]record.Record, error)
}

// Run runs the suite against a store. Each call of open must return an empty one.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, part := range []map[string]func(s storeTest){addTests, changeTests, retireTests, listTests, raceTests} {
		for _, sentence := range slices.Sorted(maps.Keys(part)) {
			t.Run(sentence, func(t *testing.T) {
				t.Parallel()
				part[sentence](storeTest{t, open(t), open})
			})
		}
	}
}

// storeTest is a store under test.
type storeTest struct {
	*testing.T
	Store
	openStore func(t *testing.T) Store
}

func (s storeTest) must(r record.Record, err error) record.Record {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func (s storeTest) mustAdd(r record.Record) record.Record {
	s.Helper()
	return s.must(s.Add(s.Context(), r))
}

// mustChange changes a record, and returns its new state.
func (s storeTest) mustChange(before record.Record, twist func(*record.Record)) record.Record {
	s.Helper()
	return s.must(s.Change(s.Context(), before, modified(before, twist)))
}

// wantNoError asserts that there was no error.
func (s storeTest) wantNoError(what string, err error) {
	s.Helper()
	if err != nil {
		s.Errorf("%s: %v", what, err)
	}
}

// wantError asserts that err is want.
func (s storeTest) wantError(what string, err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("%s: the error is %v, want %v", what, err, want)
	}
}

// wantStored asserts that the store returns this record, by each way to read it.
func (s storeTest) wantStored(want record.Record) {
	s.Helper()
	for way, got := range s.readAll(want) {
		if got.err != nil {
			s.Errorf("%s: %v", way, got.err)
		} else {
			s.wantEqual(way, got.Record, want)
		}
	}
}

// wantAbsent asserts that the store has no such record, by each way to read it.
func (s storeTest) wantAbsent(r record.Record) {
	s.Helper()
	for way, got := range s.readAll(r) {
		s.wantError(way, got.err, record.ErrGone)
		s.wantEqual(way+", beside its error,", got.Record, record.Record{})
	}
}

type readResult struct {
	record.Record
	err error
}

func (s storeTest) readAll(r record.Record) map[string]readResult {
	ask := func(r record.Record, err error) readResult { return readResult{r, err} }
	return map[string]readResult{
		"Get":     ask(s.Get(s.Context(), r.Name())),
		"Confirm": ask(s.Confirm(s.Context(), r.Name())),
		"Find":    ask(s.Find(s.Context(), r.Digest)),
	}
}

// waitForList waits until the store lists exactly these records for an owner.
func (s storeTest) waitForList(owner record.Owner, want ...record.Record) {
	s.Helper()
	var got []string
	err := wait.PollUntilContextTimeout(s.Context(), 5*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		rs, err := s.ListByOwner(ctx, owner)
		got = got[:0]
		for _, r := range rs {
			got = append(got, r.Name())
		}
		slices.Sort(got)
		return slices.Equal(got, sortedNames(want)), err
	})
	if err != nil {
		s.Errorf("the records of %+v are %v, want %v (%v)", owner, got, sortedNames(want), err)
	}
}

func sortedNames(rs []record.Record) []string {
	all := make([]string, 0, len(rs))
	for _, r := range rs {
		all = append(all, r.Name())
	}
	slices.Sort(all)
	return all
}
