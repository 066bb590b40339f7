package login

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// End ends the credential of a digest, and its refresh token with it. It returns ErrDenied if there
// is none.
func (s *Service) End(ctx context.Context, d token.Digest) error {
	ctx, cancel := withStoreTimeout(ctx)
	defer cancel()
	r, err := s.Records.Get(ctx, d.RecordName())
	// The cache of this replica may be behind.
	if errors.Is(err, record.ErrGone) || err == nil && r.Digest != d {
		r, err = s.Records.Find(ctx, d)
	}
	if errors.Is(err, record.ErrGone) {
		return ErrDenied
	}
	if err != nil {
		return unavailableError(err)
	}
	var family []record.Record
	if r.Refresh != nil { // what a crash left is in the cache by now; a refresh under way withdraws
		if family, err = s.Records.ListByFamily(ctx, r.Refresh.Family, false); err != nil {
			return unavailableError(err)
		}
	}
	others := slices.DeleteFunc(family, func(other record.Record) bool { return other.Digest == r.Digest })
	for _, other := range others { // before r, which leads to them if this stops halfway
		if err := s.retire(ctx, other); err != nil {
			return err
		}
	}
	err = s.claim(ctx, r)
	switch {
	case !errors.Is(err, errOvertaken):
		return err
	case len(others) > 0: // its replacement has ended, or was replaced in turn and goes on
		return s.endFamily(ctx, others)
	default:
		return ErrDenied // it was ended or refreshed since this replica's cache was updated
	}
}

// sessionRecords returns the records of the session of a login: its own, and those that a crashed
// refresh left.
func (s *Service) sessionRecords(ctx context.Context, r record.Record) ([]record.Record, error) {
	if r.Refresh == nil {
		return nil, nil
	}
	rs, err := s.Records.ListByFamily(ctx, r.Refresh.Family, true)
	if err != nil {
		return nil, unavailableError(err)
	}
	return rs, nil
}

// EndRefresh ends the session of a refresh token. It returns ErrDenied if there is none.
func (s *Service) EndRefresh(ctx context.Context, presented token.Token, source netip.Addr) error {
	return s.EndRefreshOf(ctx, presented, "", source)
}

// EndRefreshOf is EndRefresh for a session at one client: a session at another client is treated as
// none. If client is empty, any client matches. It returns *Limited if the source has presented too
// many tokens that this replica does not know.
func (s *Service) EndRefreshOf(ctx context.Context, presented token.Token, client string, source netip.Addr) error {
	if presented.Kind() != token.Refresh {
		return ErrDenied
	}
	ctx, cancel := withStoreTimeout(ctx)
	defer cancel()
	family := presented.Family().Digest()
	rs, err := s.Records.ListByFamily(ctx, family, false)
	if err != nil {
		return unavailableError(err)
	}
	// A record that replaced it meanwhile is found below.
	if found, _ := evaluateRefresh(s.Now(), presented.Digest(), rs); found != refreshCurrent {
		if rs, err = s.readFamily(ctx, family, source, len(rs) > 0); err != nil {
			return err
		}
	}
	if len(rs) == 0 || client != "" && rs[0].Client != client {
		return ErrDenied
	}
	return s.endFamily(ctx, rs)
}

// endFamily ends a session, with the records that replace its records meanwhile. It reads them from
// the API server.
func (s *Service) endFamily(ctx context.Context, rs []record.Record) error {
	for range maxEndAttempts {
		for _, r := range rs {
			if err := s.retire(ctx, r); err != nil {
				return err
			}
		}
		var err error
		if rs, err = s.sessionRecords(ctx, rs[0]); err != nil {
			return err
		}
		if len(rs) == 0 {
			return nil
		}
	}
	return unavailableError(errors.New("the session is refreshed faster than it can be ended"))
}

// maxEndAttempts is how many times endFamily ends the records of a session. Each of them may have
// been refreshed meanwhile.
const maxEndAttempts = 5

func (s *Service) retire(ctx context.Context, r record.Record) error {
	if err := s.Records.RetireAnyway(ctx, r); err != nil {
		return unavailableError(err)
	}
	s.rejectLocally(r)
	return nil
}

// rejectLocally rejects a deleted credential on this replica, before a watch reports the deletion.
func (s *Service) rejectLocally(r record.Record) {
	s.unlisted.remove(r)
	s.ended.add(s.Now(), r.Digest)
	s.OnEnded(r.Digest)
}
