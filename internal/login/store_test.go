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

// truth is the content of the store. It keeps each change, so that replicas can be behind.
type truth struct {
	mu       sync.Mutex
	held     map[token.Digest]record.Record
	changes  []change
	revision int64
	largest  int // largest number of records at once
	clock    *clock
}

type change struct {
	of      token.Digest
	now     record.Record
	deleted bool
}

// errAway is the error of a store that does not answer.
var errAway = errors.New("away")

// replica is the store as one replica knows it, with the semantics of record.Kube. Kube
// distinguishes records of one name by resourceVersion; this uses Version, which logins do not
// need.
type replica struct {
	*truth
	behind func() int // how many changes the cache is behind; nil: none

	cache   map[token.Digest]record.Record
	applied int
	own     map[token.Digest]bool // records that it deleted itself, so it knows that they are gone

	calls int
	fail  func(call int, name string) fault // for calls from 1 on; nil: no faults
}

// fault is the outcome of a call.
type fault int

const (
	works  fault = iota
	fails        // before the call took effect
	lost         // the response is lost, but the call took effect
	dies         // the process dies before the call took effect
	dead         // the process dies after the call took effect
	silent       // waits until the deadline
)

// death is the value that a dying process panics with.
type death struct{}

func (s *replica) begin(ctx context.Context, name string) (after func() error, err error) {
	s.mu.Lock()
	s.calls++
	call := s.calls
	s.mu.Unlock()
	f := works
	if s.fail != nil {
		f = s.fail(call, name)
	}
	switch f {
	case fails:
		return nil, errAway
	case dies:
		panic(death{})
	case silent:
		<-ctx.Done()
		return nil, ctx.Err()
	case lost:
		return func() error { return errAway }, nil
	case dead:
		return func() error { panic(death{}) }, nil
	default:
		return func() error { return nil }, nil
	}
}

func (s *replica) Add(ctx context.Context, r record.Record) (record.Record, error) {
	after, err := s.begin(ctx, "Add")
	if err != nil {
		return record.Record{}, err
	}
	s.mu.Lock()
	if _, there := s.held[r.Digest]; there {
		s.mu.Unlock()
		return record.Record{}, record.ErrExists
	}
	r.CreatedAt = s.clock.now().Truncate(1e9)
	r = s.put(r)
	s.mu.Unlock()
	return r, after()
}

// put stores a revision of a record.
func (s *truth) put(r record.Record) record.Record {
	s.revision++
	r.Version = s.revision
	if r.Refresh != nil {
		refresh := *r.Refresh
		r.Refresh = &refresh
	}
	s.held[r.Digest] = r
	s.largest = max(s.largest, len(s.held))
	s.changes = append(s.changes, change{of: r.Digest, now: r})
	return r
}

func (s *replica) Get(ctx context.Context, name string) (record.Record, error) {
	after, err := s.begin(ctx, "Get")
	if err != nil {
		return record.Record{}, err
	}
	rs := s.list(false, func(r record.Record) bool { return r.Name() == name && !s.own[r.Digest] })
	if len(rs) == 0 {
		return record.Record{}, errors.Join(record.ErrGone, after())
	}
	return rs[0], after()
}

func (s *replica) Find(ctx context.Context, d token.Digest) (record.Record, error) {
	after, err := s.begin(ctx, "Find")
	if err != nil {
		return record.Record{}, err
	}
	s.mu.Lock()
	r, there := s.held[d]
	s.mu.Unlock()
	if !there {
		return record.Record{}, errors.Join(record.ErrGone, after())
	}
	return r, after()
}

func (s *replica) Of(ctx context.Context, owner record.Owner) ([]record.Record, error) {
	after, err := s.begin(ctx, "Of")
	if err != nil {
		return nil, err
	}
	rs := s.list(false, func(r record.Record) bool {
		return r.Owner.Kind == owner.Kind && r.Owner.Name == owner.Name && !s.own[r.Digest]
	})
	return rs, after()
}

func (s *replica) Family(ctx context.Context, family token.Digest, sure bool) ([]record.Record, error) {
	after, err := s.begin(ctx, "Family")
	if err != nil {
		return nil, err
	}
	rs := s.list(sure, func(r record.Record) bool { return r.Refresh != nil && r.Refresh.Family == family })
	return rs, after()
}

// list lists records in map order, which is random.
func (s *replica) list(sure bool, which func(record.Record) bool) (rs []record.Record) {
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
		from = s.held
	}
	for _, r := range from {
		if which(r) {
			rs = append(rs, r)
		}
	}
	return rs
}

func (s *replica) Claim(ctx context.Context, r record.Record) error {
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

func (s *replica) RetireAnyway(ctx context.Context, r record.Record) error {
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

func (s *replica) remove(ctx context.Context, name string, r record.Record, may func(record.Record, bool) error) error {
	after, err := s.begin(ctx, name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	now, there := s.held[r.Digest]
	if err = may(now, there); err == nil {
		s.own[r.Digest] = true
		s.delete(r.Digest)
	}
	s.mu.Unlock()
	return errors.Join(err, after())
}

func (s *truth) delete(d token.Digest) {
	delete(s.held, d)
	s.changes = append(s.changes, change{of: d, deleted: true})
}

// used notes the use of a record, which gives it a new revision.
func (s *truth) used(d token.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, there := s.held[d]; there {
		r.LastUsedAt = s.clock.now()
		s.put(r)
	}
}

// rewrite changes a record to what another release would have written.
func (s *truth) rewrite(d token.Digest, change func(*record.Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.held[d]
	change(&r)
	s.put(r)
}

// all returns all records.
func (s *truth) all() []record.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.held))
}

// live returns the logins of a user at a client that can still be used.
func (s *truth) live(user, client string) (rs []record.Record) {
	for _, r := range s.all() {
		if r.User == user && r.Client == client && !r.Over(s.clock.now()) {
			rs = append(rs, r)
		}
	}
	return rs
}

// peak returns the largest number of records at once.
func (s *truth) peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.largest
}

// holds reports whether a login is valid, with the refresh token beside it.
func (s *truth) holds(o login.Opened) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, there := s.held[o.Token.Digest()]
	return there && (r.Refresh == nil || r.Refresh.Digest == o.Refresh.Digest())
}
