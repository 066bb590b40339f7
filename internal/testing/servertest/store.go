package servertest

import (
	"context"
	"slices"
	"sync"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// Store is a record store in memory, which updates the index at once.
type Store struct {
	mu      sync.Mutex
	index   *verify.Index
	records map[token.Digest]record.Record
	writes  int
	fail    error
}

// Add stores a record.
func (s *Store) Add(_ context.Context, r record.Record) (record.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return record.Record{}, s.fail
	}
	s.writes++
	s.records[r.Digest] = r
	s.index.Set(r)
	return r, nil
}

// Find returns the record of a digest.
func (s *Store) Find(_ context.Context, d token.Digest) (record.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, there := s.records[d]
	switch {
	case s.fail != nil:
		return record.Record{}, s.fail
	case !there:
		return record.Record{}, record.ErrGone
	}
	return r, nil
}

// Get returns the record of a name.
func (s *Store) Get(_ context.Context, name string) (record.Record, error) {
	found, err := s.all(func(r record.Record) bool { return r.Name() == name })
	if err == nil && len(found) == 0 {
		err = record.ErrGone
	}
	if err != nil {
		return record.Record{}, err
	}
	return found[0], nil
}

func (s *Store) all(which func(record.Record) bool) ([]record.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	var found []record.Record
	for _, r := range s.records {
		if which(r) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b record.Record) int { return a.IssuedAt.Compare(b.IssuedAt) })
	return found, nil
}

// ListLogins returns the logins of one kind of a user, the oldest first.
func (s *Store) ListLogins(_ context.Context, q record.LoginQuery) ([]record.Record, error) {
	return s.all(func(r record.Record) bool { return r.Owner == q.User && r.Kind == q.Kind })
}

// ListByFamily returns the records of a session, the oldest first.
func (s *Store) ListByFamily(_ context.Context, family token.Digest, _ bool) ([]record.Record, error) {
	return s.all(func(r record.Record) bool { return r.Refresh != nil && r.Refresh.Family == family })
}

// Claim deletes a record, or fails if it is gone.
func (s *Store) Claim(_ context.Context, r record.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.records[r.Digest]; !there && s.fail == nil {
		return record.ErrGone
	}
	return s.remove(r.Digest)
}

// RetireAnyway deletes a record.
func (s *Store) RetireAnyway(_ context.Context, r record.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(r.Digest)
}

func (s *Store) remove(d token.Digest) error {
	if s.fail != nil {
		return s.fail
	}
	s.writes++
	delete(s.records, d)
	s.index.Remove(d)
	return nil
}

// WriteCounts returns the number of writes and the number of records.
func (s *Store) WriteCounts() [2]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return [2]int{s.writes, len(s.records)}
}

// FailWith makes every later call fail with err; nil ends that.
func (s *Store) FailWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *Store) isFailing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail != nil
}

// RecordOf returns the record of a token.
func (s *Store) RecordOf(tok string) record.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, d, _ := token.DigestOf(tok)
	return s.records[d]
}

// RevocationStore is a record store in memory for introspection and revocation. The index of its
// test learns of no deletion. It fails with Fail, if that is set.
type RevocationStore struct {
	mu      sync.Mutex
	Records map[token.Digest]record.Record
	Fail    error
}

// Find returns the record of a digest.
func (s *RevocationStore) Find(_ context.Context, d token.Digest) (record.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.Records[d]
	switch {
	case s.Fail != nil:
		return record.Record{}, s.Fail
	case !ok:
		return record.Record{}, record.ErrGone
	}
	return r, nil
}

// RetireAnyway deletes a record.
func (s *RevocationStore) RetireAnyway(_ context.Context, r record.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Fail != nil {
		return s.Fail
	}
	delete(s.Records, r.Digest)
	return nil
}
