package login_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// storeState is the content of the store. It keeps each change, so that replicas can be behind.
type storeState struct {
	mu         sync.Mutex
	records    map[token.Digest]record.Record
	changes    []storeChange
	revision   int64
	maxRecords int // largest number of records at once
	clock      *fakeClock
}

type storeChange struct {
	of      token.Digest
	now     record.Record
	deleted bool
}

// errStoreDown is the error of a store that does not answer.
var errStoreDown = errors.New("away")

// fakeStore is the store as one replica knows it, with the semantics of kube.Store. Kube
// distinguishes records of one name by resourceVersion; this uses Version, which logins do not
// need.
type fakeStore struct {
	*storeState
	behind func() int // how many changes the cache is behind; nil: none

	cache       map[token.Digest]record.Record
	applied     int
	deletedHere map[token.Digest]bool // records that it deleted itself, so it knows that they are gone

	calls   int
	faultAt func(call int, name string) fault // for calls from 1 on; nil: no faults
}

// fault is the outcome of a call.
type fault int

const (
	noFault      fault = iota
	failBefore         // before the call took effect
	loseResponse       // the response is lost, but the call took effect
	crashBefore        // the process dies before the call took effect
	crashAfter         // the process dies after the call took effect
	hang               // waits until the deadline
)

// crash is the value that a dying process panics with.
type crash struct{}

func (s *fakeStore) begin(ctx context.Context, name string) (after func() error, err error) {
	s.mu.Lock()
	s.calls++
	call := s.calls
	s.mu.Unlock()
	f := noFault
	if s.faultAt != nil {
		f = s.faultAt(call, name)
	}
	switch f {
	case failBefore:
		return nil, errStoreDown
	case crashBefore:
		panic(crash{})
	case hang:
		<-ctx.Done()
		return nil, ctx.Err()
	case loseResponse:
		return func() error { return errStoreDown }, nil
	case crashAfter:
		return func() error { panic(crash{}) }, nil
	default:
		return func() error { return nil }, nil
	}
}

func (s *fakeStore) Add(ctx context.Context, r record.Record) (record.Record, error) {
	after, err := s.begin(ctx, "Add")
	if err != nil {
		return record.Record{}, err
	}
	s.mu.Lock()
	if _, there := s.records[r.Digest]; there {
		s.mu.Unlock()
		return record.Record{}, record.ErrExists
	}
	r.CreatedAt = s.clock.now().Truncate(1e9)
	r = s.put(r)
	s.mu.Unlock()
	return r, after()
}

// put stores a revision of a record.
func (s *storeState) put(r record.Record) record.Record {
	s.revision++
	r.Version = s.revision
	if r.Refresh != nil {
		refresh := *r.Refresh
		r.Refresh = &refresh
	}
	s.records[r.Digest] = r
	s.maxRecords = max(s.maxRecords, len(s.records))
	s.changes = append(s.changes, storeChange{of: r.Digest, now: r})
	return r
}

func (s *fakeStore) Get(ctx context.Context, name string) (record.Record, error) {
	after, err := s.begin(ctx, "Get")
	if err != nil {
		return record.Record{}, err
	}
	rs := s.list(false, func(r record.Record) bool { return r.Name() == name && !s.deletedHere[r.Digest] })
	if len(rs) == 0 {
		return record.Record{}, errors.Join(record.ErrGone, after())
	}
	return rs[0], after()
}

func (s *fakeStore) Find(ctx context.Context, d token.Digest) (record.Record, error) {
	after, err := s.begin(ctx, "Find")
	if err != nil {
		return record.Record{}, err
	}
	s.mu.Lock()
	r, there := s.records[d]
	s.mu.Unlock()
	if !there {
		return record.Record{}, errors.Join(record.ErrGone, after())
	}
	return r, after()
}

func (s *fakeStore) ListLogins(ctx context.Context, q record.LoginQuery) ([]record.Record, error) {
	after, err := s.begin(ctx, "Of")
	if err != nil {
		return nil, err
	}
	atClient := 0
	rs := s.list(false, func(r record.Record) bool {
		if r.Owner.Kind != q.User.Kind || r.Owner.Name != q.User.Name || r.Kind != q.Kind {
			return false
		}
		if r.Client == q.Client {
			atClient++
		}
		return true
	})
	if atClient < q.Fewest {
		return nil, after()
	}
	return rs, after()
}

func (s *fakeStore) ListByFamily(ctx context.Context, family token.Digest, sure bool) ([]record.Record, error) {
	after, err := s.begin(ctx, "Family")
	if err != nil {
		return nil, err
	}
	rs := s.list(sure, func(r record.Record) bool { return r.Refresh != nil && r.Refresh.Family == family })
	return rs, after()
}

// list lists records in map order, which is random.
func (s *fakeStore) list(sure bool, which func(record.Record) bool) (rs []record.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	behind := 0
	if s.behind != nil {
		behind = s.behind()
	}
	for ; s.applied < len(s.changes)-behind; s.applied++ {
		if c := s.changes[s.applied]; c.deleted {
			delete(s.cache, c.of)
		} else {
			s.cache[c.of] = c.now
		}
	}
	from := s.cache
	if sure {
		from = s.records
	}
	for _, r := range from {
		if which(r) {
			rs = append(rs, r)
		}
	}
	return rs
}

func (s *fakeStore) Claim(ctx context.Context, r record.Record) error {
	return s.remove(ctx, "Claim", r, func(now record.Record, there bool) error {
		switch {
		case !there:
			return record.ErrGone
		case now.Version != r.Version:
			return record.ErrStale
		}
		return nil
	})
}

func (s *fakeStore) RetireAnyway(ctx context.Context, r record.Record) error {
	if r.Version == 0 { // it was never stored
		return record.ErrStale
	}
	err := s.remove(ctx, "RetireAnyway", r, func(_ record.Record, there bool) error {
		if !there {
			return record.ErrGone
		}
		return nil
	})
	if errors.Is(err, record.ErrGone) {
		return nil
	}
	return err
}

func (s *fakeStore) remove(ctx context.Context, name string, r record.Record, may func(record.Record, bool) error) error {
	after, err := s.begin(ctx, name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	now, there := s.records[r.Digest]
	if err = may(now, there); err == nil {
		s.deletedHere[r.Digest] = true
		s.delete(r.Digest)
	}
	s.mu.Unlock()
	return errors.Join(err, after())
}

func (s *storeState) delete(d token.Digest) {
	delete(s.records, d)
	s.changes = append(s.changes, storeChange{of: d, deleted: true})
}

// noteUse notes the use of a record, which gives it a new revision.
func (s *storeState) noteUse(d token.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, there := s.records[d]; there {
		r.LastUsedAt = s.clock.now()
		s.put(r)
	}
}

// rewrite changes a record to what another release would have written.
func (s *storeState) rewrite(d token.Digest, change func(*record.Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[d]
	change(&r)
	s.put(r)
}

// allRecords returns all records.
func (s *storeState) allRecords() []record.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.records))
}

// liveLogins returns the logins of a user at a client that can still be used.
func (s *storeState) liveLogins(user, client string) (rs []record.Record) {
	for _, r := range s.allRecords() {
		if r.User == user && r.Client == client && !r.IsOver(s.clock.now()) {
			rs = append(rs, r)
		}
	}
	return rs
}

// peakRecords returns the largest number of records at once.
func (s *storeState) peakRecords() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.maxRecords
}

// isValid reports whether a login is valid, with the refresh token beside it.
func (s *storeState) isValid(o login.Opened) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, there := s.records[o.Token.Digest()]
	return there && (r.Refresh == nil || r.Refresh.Digest == o.Refresh.Digest())
}
