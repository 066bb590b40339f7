package login

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// RetryWindow is how long after a refresh the token that was used up may be presented once more, as is done by whoever did
// not get the answer. From then on presenting it is a theft (RFC 9700, 4.14.2).
const RetryWindow = 30 * time.Second

// finding is what a presented refresh token turns out to be.
type finding int

const (
	nothing  finding = iota // of no session that there is, or at its end
	good                    // the one that is to be used next
	retried                 // the one before, and whoever presents it may not have got the answer
	replayed                // used up long ago
	early                   // used up just now, but not the one before
)

// judge says what a refresh token is, among the records of its session, and the record that it is about. It is the rule by
// which refresh tokens live.
func judge(now time.Time, d token.Digest, family []record.Record) (finding, record.Record) {
	if len(family) == 0 {
		return nothing, record.Record{}
	}
	slices.SortFunc(family, func(a, b record.Record) int { return b.IssuedAt.Compare(a.IssuedAt) }) // the newest first
	for _, r := range family {
		if r.Refresh.Digest == d {
			if !now.Before(r.Refresh.ExpiresAt) {
				return nothing, record.Record{}
			}
			return good, r
		}
	}
	for _, r := range family {
		if r.Refresh.Previous == d && now.Before(r.Refresh.PreviousUntil) {
			return retried, r
		}
	}
	if now.Before(family[0].Refresh.PreviousUntil) {
		return early, family[0]
	}
	return replayed, family[0]
}

// errOvertaken says that somebody else used the refresh token first.
var errOvertaken = errors.New("the refresh token was used by somebody else just now")

// Refresh exchanges a refresh token for a new pair. Of those who present the same one at the same time, one has success. Who
// presents it again within RetryWindow gets another pair, in place of the one before. After that it ends the session, and no
// other. arrived is when the request came.
func (s *Service) Refresh(ctx context.Context, presented token.Token, source netip.Addr, arrived time.Time) (Opened, error) {
	if presented.Kind() != token.Refresh {
		return Opened{}, ErrDenied
	}
	family := presented.Family().Digest()
	if !s.refreshing.begin(family, arrived) {
		return Opened{}, ErrDenied
	}
	o, err := s.refresh(ctx, presented, family, source)
	s.refreshing.end(family, s.Now(), err == nil)
	if errors.Is(err, errOvertaken) {
		return Opened{}, ErrDenied
	}
	return o, err
}

func (s *Service) refresh(ctx context.Context, presented token.Token, family token.Digest, source netip.Addr) (Opened, error) {
	ctx, cancel := patiently(ctx)
	defer cancel()
	d := presented.Digest()
	rs, err := s.Records.Family(ctx, family, false)
	if err != nil {
		return Opened{}, unavailable(err)
	}
	found, r := judge(s.Now(), d, rs)
	if found != good { // what this replica knows may be behind
		if !s.reads.AllowN(s.Now(), 1) {
			return Opened{}, unavailable(errors.New("too many unknown refresh tokens are presented"))
		}
		if rs, err = s.Records.Family(ctx, family, true); err != nil {
			return Opened{}, unavailable(err)
		}
		found, r = judge(s.Now(), d, rs)
	}
	switch found {
	case good, retried:
		return s.succeed(ctx, presented, r, rs)
	case replayed:
		return Opened{}, s.endReplayed(ctx, rs, source)
	default:
		return Opened{}, ErrDenied
	}
}

// succeed opens the login that takes the place of r. What decides who of many has success is the end of r: the new one is
// stored before, so that a crash in between leaves one that nobody has.
func (s *Service) succeed(ctx context.Context, presented token.Token, r record.Record, family []record.Record) (Opened, error) {
	u, c, err := s.still(r)
	if err != nil {
		return Opened{}, err
	}
	o, err := s.draw(u, c, Terms{Kind: token.Login})
	if err != nil {
		return Opened{}, err
	}
	if err := s.drawRefresh(&o, presented.Family()); err != nil {
		return Opened{}, err
	}
	next := o.Record.Refresh
	next.Previous, next.PreviousUntil = r.Refresh.Digest, o.Record.IssuedAt.Add(RetryWindow)
	if presented.Digest() != r.Refresh.Digest { // once more: what it may be presented until does not move
		next.Previous, next.PreviousUntil = r.Refresh.Previous, r.Refresh.PreviousUntil
	}
	o.Record.Predecessor = r.Name()
	return s.takeOver(ctx, o, r, family)
}

// takeOver stores a login in place of another.
func (s *Service) takeOver(ctx context.Context, o Opened, before record.Record, family []record.Record) (Opened, error) {
	stored, err := s.Records.Add(ctx, o.Record)
	if err != nil {
		return Opened{}, unavailable(err)
	}
	o.Record = stored
	if err := s.claim(ctx, before); err != nil {
		if errors.Is(err, errOvertaken) {
			_ = s.retire(ctx, stored) //nolint:errcheck // nobody has it, and it is swept
		}
		return Opened{}, err
	}
	s.forget(before)
	for _, r := range family { // what crashes left
		if r.Digest != before.Digest && r.Digest != stored.Digest {
			_ = s.retire(ctx, r) //nolint:errcheck // as above
		}
	}
	s.fresh.add(s.Now(), stored)
	return o, nil
}

// claim deletes a record, and fails if somebody else did. That its use was noted meanwhile does not matter.
func (s *Service) claim(ctx context.Context, r record.Record) error {
	for {
		err := s.Records.Claim(ctx, r)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, record.ErrGone):
			return errOvertaken
		case !errors.Is(err, record.ErrStale):
			return unavailable(err)
		}
		now, err := s.Records.Find(ctx, r.Digest)
		switch {
		case errors.Is(err, record.ErrGone):
			return errOvertaken
		case err != nil:
			return unavailable(err)
		}
		r = now
	}
}

// still says for whom a login was opened, if they could open it now.
func (s *Service) still(r record.Record) (User, Client, error) {
	u, ok := s.Directory.User(r.User)
	if !ok || u.Suspended || u.UID != r.Owner.UID || u.Credential == "" || u.Credential != r.Credential || !u.has(r.Client) || r.Suspended {
		return User{}, Client{}, ErrDenied
	}
	c, ok := s.Directory.Client(r.Client)
	if !ok || c.Suspended {
		return User{}, Client{}, ErrDenied
	}
	return u, c, nil
}

// endReplayed ends a session whose refresh token is in two hands.
func (s *Service) endReplayed(ctx context.Context, family []record.Record, source netip.Addr) error {
	for _, r := range family {
		if err := s.retire(ctx, r); err != nil {
			return err
		}
	}
	if u, ok := s.Directory.User(family[0].User); ok {
		s.Replayed(u, source)
	}
	return ErrDenied
}

// EndRefresh ends the session of a refresh token: ErrDenied if there is none.
func (s *Service) EndRefresh(ctx context.Context, presented token.Token) error {
	ctx, cancel := patiently(ctx)
	defer cancel()
	if !s.reads.AllowN(s.Now(), 1) {
		return unavailable(errors.New("too many refresh tokens are presented"))
	}
	rs, err := s.Records.Family(ctx, presented.Family().Digest(), true)
	if err != nil {
		return unavailable(err)
	}
	if len(rs) == 0 {
		return ErrDenied
	}
	for _, r := range rs {
		if err := s.retire(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// Masquerade exchanges a live login for one of the same user at another client. The one before ends.
func (s *Service) Masquerade(ctx context.Context, d token.Digest, account int64) (Opened, error) {
	ctx, cancel := patiently(ctx)
	defer cancel()
	r, err := s.Records.Find(ctx, d)
	if errors.Is(err, record.ErrGone) {
		return Opened{}, ErrDenied
	}
	if err != nil {
		return Opened{}, unavailable(err)
	}
	if r.Kind != token.Login {
		return Opened{}, &Forbidden{"only a login can change its account"}
	}
	u, _, err := s.still(r)
	if err != nil {
		return Opened{}, err
	}
	c, err := s.Account(u, &account)
	if err != nil {
		return Opened{}, err
	}
	o, err := s.draw(u, c, Terms{Kind: token.Login})
	if err != nil {
		return Opened{}, err
	}
	if r.Refresh != nil {
		family, err := token.NewFamily(s.Entropy)
		if err != nil {
			return Opened{}, unavailable(err)
		}
		if err := s.drawRefresh(&o, family); err != nil {
			return Opened{}, err
		}
	}
	o, err = s.takeOver(ctx, o, r, nil)
	if errors.Is(err, errOvertaken) {
		return Opened{}, ErrDenied
	}
	return o, err
}
