package server_test

import (
	"context"
	"slices"
	"sync"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// ledger is a fake record store in memory, which updates the index at once. It fails with a set
// error.
type ledger struct {
	mu     sync.Mutex
	index  *verify.Index
	held   map[token.Digest]record.Record
	writes int
	fail   error
}

func (l *ledger) Add(_ context.Context, r record.Record) (record.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return record.Record{}, l.fail
	}
	l.writes++
	l.held[r.Digest] = r
	l.index.Set(r)
	return r, nil
}

func (l *ledger) Find(_ context.Context, d token.Digest) (record.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, there := l.held[d]
	switch {
	case l.fail != nil:
		return record.Record{}, l.fail
	case !there:
		return record.Record{}, record.ErrGone
	}
	return r, nil
}

func (l *ledger) Get(_ context.Context, name string) (record.Record, error) {
	found, err := l.all(func(r record.Record) bool { return r.Name() == name })
	if err == nil && len(found) == 0 {
		err = record.ErrGone
	}
	if err != nil {
		return record.Record{}, err
	}
	return found[0], nil
}

func (l *ledger) all(which func(record.Record) bool) ([]record.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return nil, l.fail
	}
	var found []record.Record
	for _, r := range l.held {
		if which(r) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b record.Record) int { return a.IssuedAt.Compare(b.IssuedAt) })
	return found, nil
}

func (l *ledger) Of(_ context.Context, owner record.Owner) ([]record.Record, error) {
	return l.all(func(r record.Record) bool { return r.Owner == owner })
}

func (l *ledger) Family(_ context.Context, family token.Digest, _ bool) ([]record.Record, error) {
	return l.all(func(r record.Record) bool { return r.Refresh != nil && r.Refresh.Family == family })
}

func (l *ledger) Claim(_ context.Context, r record.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.held[r.Digest]; !there && l.fail == nil {
		return record.ErrGone
	}
	return l.remove(r.Digest)
}

func (l *ledger) RetireAnyway(_ context.Context, r record.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remove(r.Digest)
}

func (l *ledger) remove(d token.Digest) error {
	if l.fail != nil {
		return l.fail
	}
	l.writes++
	delete(l.held, d)
	l.index.Remove(d)
	return nil
}

// written returns the number of writes and the number of records.
func (l *ledger) written() [2]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return [2]int{l.writes, len(l.held)}
}

func (l *ledger) breaks(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

func (l *ledger) away() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fail != nil
}

// of returns the record of a token.
func (l *ledger) of(tok string) record.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, d, _ := token.DigestOf(tok)
	return l.held[d]
}
