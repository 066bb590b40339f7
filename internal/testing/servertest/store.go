package server_test

import (
	"context"
	"slices"
	"sync"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// fakeStore is a fake record store in memory, which updates the index at once. It fails with a set
// error.
type fakeStore struct {
	mu      sync.Mutex
	index   *verify.Index
	records map[token.Digest]record.Record
	writes  int
	fail    error
}

func (l *fakeStore) Add(_ context.Context, r record.Record) (record.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return record.Record{}, l.fail
	}
	l.writes++
	l.records[r.Digest] = r
	l.index.Set(r)
	return r, nil
}

func (l *fakeStore) Find(_ context.Context, d token.Digest) (record.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, there := l.records[d]
	switch {
	case l.fail != nil:
		return record.Record{}, l.fail
	case !there:
		return record.Record{}, record.ErrGone
	}
	return r, nil
}

func (l *fakeStore) Get(_ context.Context, name string) (record.Record, error) {
	found, err := l.all(func(r record.Record) bool { return r.Name() == name })
	if err == nil && len(found) == 0 {
		err = record.ErrGone
	}
	if err != nil {
		return record.Record{}, err
	}
	return found[0], nil
}

func (l *fakeStore) all(which func(record.Record) bool) ([]record.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return nil, l.fail
	}
	var found []record.Record
	for _, r := range l.records {
		if which(r) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b record.Record) int { return a.IssuedAt.Compare(b.IssuedAt) })
	return found, nil
}

func (l *fakeStore) ListByOwner(_ context.Context, owner record.Owner) ([]record.Record, error) {
	return l.all(func(r record.Record) bool { return r.Owner == owner })
}

func (l *fakeStore) ListByFamily(_ context.Context, family token.Digest, _ bool) ([]record.Record, error) {
	return l.all(func(r record.Record) bool { return r.Refresh != nil && r.Refresh.Family == family })
}

func (l *fakeStore) Claim(_ context.Context, r record.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.records[r.Digest]; !there && l.fail == nil {
		return record.ErrGone
	}
	return l.remove(r.Digest)
}

func (l *fakeStore) RetireAnyway(_ context.Context, r record.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remove(r.Digest)
}

func (l *fakeStore) remove(d token.Digest) error {
	if l.fail != nil {
		return l.fail
	}
	l.writes++
	delete(l.records, d)
	l.index.Remove(d)
	return nil
}

// writeCounts returns the number of writes and the number of records.
func (l *fakeStore) writeCounts() [2]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return [2]int{l.writes, len(l.records)}
}

func (l *fakeStore) failWith(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

func (l *fakeStore) isFailing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fail != nil
}

// recordOf returns the record of a token.
func (l *fakeStore) recordOf(tok string) record.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, d, _ := token.DigestOf(tok)
	return l.records[d]
}
