package login

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// OwnerKindRecord is the owner kind in the records of access tokens: the owner is the record of the
// application token that was exchanged.
const OwnerKindRecord = "TokenRecord"

const (
	// MaxAccessTokens is how many access tokens of one application token may be valid at once. It
	// bounds what one token can store, and leaves room for a program of many processes.
	MaxAccessTokens = 200
	// maxAccessLifetime is the longest lifetime of an access token.
	maxAccessLifetime = time.Hour
	// All application tokens of one client may be exchanged this many times in a row, and then once
	// in every interval. With maxAccessLifetime this bounds how many records of access tokens one
	// client can have, however many application tokens it has: some 11,000 for each replica.
	accessBurst, accessEvery = 300, time.Second / 3
)

// OpenAccess exchanges an application token for an access token, which ends with it, and is
// narrowed to permissions if there are any. It returns ErrDenied if the application token is gone.
//
// If the application token has too many access tokens, the oldest of them ends: a program that asks
// for one on each request then goes on. A crash leaves a record that ends by itself, and whose
// token no client holds.
func (s *Service) OpenAccess(ctx context.Context, parent token.Digest, c Client, permissions []string) (Opened, error) {
	ctx, cancel := withStoreTimeout(ctx)
	defer cancel()
	p, err := s.Records.Find(ctx, parent)
	if errors.Is(err, record.ErrGone) || err == nil && p.Kind != token.Application {
		return Opened{}, ErrDenied
	}
	if err != nil {
		return Opened{}, unavailableError(err)
	}
	if !s.accessByClient.Take(s.Now(), p.Client) {
		return Opened{}, &Limited{accessEvery}
	}
	o, err := s.mintAccess(p, c, permissions)
	if err != nil {
		return Opened{}, err
	}
	s.accessLocks.LockKey(o.Record.Owner.Name)
	defer s.accessLocks.UnlockKey(o.Record.Owner.Name) //nolint:errcheck // a hashed key mutex never fails
	if o, err = s.addRecord(ctx, o); err != nil {
		return Opened{}, err
	}
	s.unlistedAccess.add(s.Now(), o.Record)
	s.enforceAccessLimit(ctx, o.Record)
	return o, nil
}

// mintAccess mints an access token, and builds its record. It stores nothing.
func (s *Service) mintAccess(parent record.Record, c Client, permissions []string) (Opened, error) {
	tok, err := token.Mint(token.Access, s.Entropy)
	if err != nil {
		return Opened{}, unavailableError(err)
	}
	now := s.Now().Truncate(time.Second) // records hold whole seconds
	return Opened{Client: c, Token: tok, Record: record.Record{
		Kind: token.Access, Digest: tok.Digest(), Hint: tok.Hint(), Parent: parent.Digest,
		Owner:  record.Owner{Kind: OwnerKindRecord, Name: parent.Name(), UID: parent.UID},
		Client: parent.Client, Permissions: permissions, IssuedAt: now,
		ExpiresAt: earliestEnd(now.Add(min(c.LoginLifetime, maxAccessLifetime)), parent.ExpiresAt),
	}}, nil
}

// enforceAccessLimit ends the oldest access tokens beside a new one if there are too many. It
// ignores errors: the new one is valid, and the reconciler enforces the limit again.
func (s *Service) enforceAccessLimit(ctx context.Context, opened record.Record) {
	known, err := s.Records.ListLogins(ctx, record.LoginQuery{User: opened.Owner, Kind: token.Access, Client: opened.Client})
	if err != nil {
		return
	}
	known = s.ended.without(known)
	all := slices.Concat(known, s.unlistedAccess.missingFrom(s.Now(), opened, known))
	others := slices.DeleteFunc(all, func(r record.Record) bool { return r.Digest == opened.Digest })
	for _, r := range excessAccess(s.Now(), others, MaxAccessTokens-1) {
		if err := s.retire(ctx, r); err != nil {
			return
		}
		s.unlistedAccess.remove(r)
	}
}

// ExcessAccess returns the access tokens of an application token beyond the newest MaxAccessTokens,
// oldest first.
func ExcessAccess(now time.Time, rs []record.Record) []record.Record {
	return excessAccess(now, rs, MaxAccessTokens)
}

func excessAccess(now time.Time, rs []record.Record, most int) []record.Record {
	live := slices.DeleteFunc(slices.Clone(rs), func(r record.Record) bool { return r.Kind != token.Access || r.IsOver(now) })
	if len(live) <= most {
		return nil
	}
	slices.SortFunc(live, record.CompareAge)
	return live[:len(live)-most]
}
