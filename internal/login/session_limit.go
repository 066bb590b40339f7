package login

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// ExcessLogins returns the logins of a user at a client that exceed a limit: those beyond the
// newest most, oldest first. Logins that have ended do not count.
func ExcessLogins(now time.Time, rs []record.Record, client string, most int) []record.Record {
	var live []record.Record
	for _, r := range rs {
		if IsLogin(r) && r.Client == client && !r.IsOver(now) {
			live = append(live, r)
		}
	}
	if len(live) <= most {
		return nil
	}
	slices.SortFunc(live, record.CompareAge)
	return live[:len(live)-most]
}

// IsLogin reports whether a record is that of a login.
func IsLogin(r record.Record) bool {
	return r.Kind == token.Login || r.Kind == token.Session || r.Kind == token.Open
}

// enforceSessionLimit ends the oldest logins of a user at a client if a new one exceeds the limit.
// It never ends the new login itself, which may sort as the oldest among those of the same second.
// It ignores errors: the new login is valid, and the reconciler enforces the limit again.
func (s *Service) enforceSessionLimit(ctx context.Context, o Opened) {
	known, err := s.Records.ListByOwner(ctx, o.Record.Owner)
	if err != nil {
		return
	}
	excess := s.excessBeside(o, known)
	if len(excess) == 0 {
		return
	}
	// A login that was stored here and is not in the cache may have ended on another replica since.
	// No other login ends for one that has ended.
	for _, r := range s.unlisted.missingFrom(s.Now(), o.Record.Owner, known) {
		if _, err := s.Records.Find(ctx, r.Digest); errors.Is(err, record.ErrGone) {
			s.unlisted.remove(r)
		}
	}
	for _, r := range s.excessBeside(o, known) {
		if err := s.retire(ctx, r); err != nil {
			return
		}
	}
}

// excessBeside returns the logins of a user that exceed the limit beside a new one, as far as this
// replica knows.
func (s *Service) excessBeside(o Opened, known []record.Record) []record.Record {
	all := slices.Concat(known, s.unlisted.missingFrom(s.Now(), o.Record.Owner, known))
	others := slices.DeleteFunc(WithoutPendingSuccessors(all), func(r record.Record) bool { return r.Digest == o.Record.Digest })
	return ExcessLogins(s.Now(), others, o.Client.Name, max(0, o.Client.MaxSessions-1))
}
