package login

import (
	"context"
	"errors"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// Masquerade exchanges a live login for one of the same user at another client. The previous login
// ends, with its refresh token. The new one begins a family of its own, because a login token does
// not reveal the secret of its family. Neither the new login nor its successors outlive the
// previous login and its refresh token. It returns *Invalid if the login is at that client already,
// and *Forbidden if it is narrowed to a scope.
//
// If the response is lost, the login may be lost too. Nothing then distinguishes a retry from
// a user who logged out.
func (s *Service) Masquerade(ctx context.Context, d token.Digest, account int64) (Opened, error) {
	ctx, cancel := withStoreTimeout(ctx)
	defer cancel()
	r, err := s.Records.Find(ctx, d)
	if errors.Is(err, record.ErrGone) {
		return Opened{}, ErrDenied
	}
	if err != nil {
		return Opened{}, unavailableError(err)
	}
	switch {
	case r.Kind != token.Login:
		return Opened{}, &Forbidden{"only a login can change its account"}
	case len(r.Permissions) > 0: // its scope was granted for one account
		return Opened{}, &Forbidden{"a login that is narrowed to a scope cannot change its account; log in at the other one"}
	}
	u, at, err := s.stillAllowed(r)
	if err != nil {
		return Opened{}, err
	}
	if !s.Now().Before(r.ExpiresAt) { // its refresh token may still be valid, and is the one to present then
		return Opened{}, ErrDenied
	}
	c, err := s.Account(u, &account)
	if err != nil {
		return Opened{}, err
	}
	if c.Name == r.Client { // an exchange at the same client would renew the login, again and again
		return Opened{}, &Invalid{"account_id", "is that of the account at which this login is already; name another one, or refresh the login"}
	}
	b := inheritedBounds(r, at).cutToPolicy(c).cutToLogin(r)
	if b.isOver(s.Now()) {
		return Opened{}, ErrDenied
	}
	if err := s.countExchange(u); err != nil {
		return Opened{}, err
	}
	family, err := s.sessionRecords(ctx, r)
	if err != nil {
		return Opened{}, err
	}
	o, err := s.mint(u, c, Terms{Kind: token.Login}, b)
	if err != nil {
		return Opened{}, err
	}
	if r.Refresh != nil && s.Now().Before(b.refresh) {
		if err := s.beginFamily(&o, b); err != nil {
			return Opened{}, err
		}
	}
	return s.replaceAtClient(ctx, o, r, family)
}

// countExchange counts an exchange of a login by a user: each one makes the API server write a
// record and delete one. It returns *Limited if the user exchanges logins too often.
func (s *Service) countExchange(u User) error {
	now := s.Now()
	if after, ok := s.exchangesByUser.Allowed(now, u.Name); !ok {
		return &Limited{after}
	}
	s.exchangesByUser.Spend(now, u.Name)
	return nil
}

// replaceAtClient stores a login in place of one at another client.
func (s *Service) replaceAtClient(ctx context.Context, o Opened, before record.Record, family []record.Record) (Opened, error) {
	o, err := s.addSuccessor(ctx, o, before)
	if err != nil {
		return Opened{}, err
	}
	if err := s.replace(ctx, o, before, family); err != nil {
		again, cancel := withStoreTimeout(ctx) // the deadline of the request may have passed
		defer cancel()
		_ = s.retire(again, o.Record) //nolint:errcheck // no client has it
		if errors.Is(err, errOvertaken) {
			return Opened{}, ErrDenied
		}
		return Opened{}, err
	}
	s.userLocks.LockKey(o.User.Name)
	defer s.userLocks.UnlockKey(o.User.Name) //nolint:errcheck // a hashed key mutex never fails
	s.enforceSessionLimit(ctx, o)
	return o, nil
}
