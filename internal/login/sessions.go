package login

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// Surplus are the logins of a user at a client that are more than so many: the oldest, the oldest first. What is over by
// itself does not count.
func Surplus(now time.Time, rs []record.Record, client string, most int) []record.Record {
	var live []record.Record
	for _, r := range rs {
		if IsLogin(r) && r.Client == client && !r.Over(now) {
			live = append(live, r)
		}
	}
	if len(live) <= most {
		return nil
	}
	slices.SortFunc(live, record.ByAge)
	return live[:len(live)-most]
}

// IsLogin says whether a record is that of somebody who logged in.
func IsLogin(r record.Record) bool {
	return r.Kind == token.Login || r.Kind == token.Session || r.Kind == token.Open
}

// trim ends the oldest logins of a user at a client if a new one makes them too many; never the new one itself, which of
// those of one second may be taken for the oldest. An error is none: the new one is good, and whoever reconciles counts again.
func (s *Service) trim(ctx context.Context, o Opened) {
	known, err := s.Records.Of(ctx, o.Record.Owner)
	if err != nil {
		return
	}
	surplus := s.beside(o, known)
	if len(surplus) == 0 {
		return
	}
	// What was stored here and is not seen may have ended elsewhere since. No other login ends for one that did.
	for _, r := range s.fresh.unseen(s.Now(), o.Record.Owner, known) {
		if _, err := s.Records.Find(ctx, r.Digest); errors.Is(err, record.ErrGone) {
			s.fresh.remove(r)
		}
	}
	for _, r := range s.beside(o, known) {
		if err := s.retire(ctx, r); err != nil {
			return
		}
	}
}

// beside are the logins of a user that are too many beside a new one, as far as is known.
func (s *Service) beside(o Opened, known []record.Record) []record.Record {
	all := slices.Concat(known, s.fresh.unseen(s.Now(), o.Record.Owner, known))
	others := slices.DeleteFunc(Settled(all), func(r record.Record) bool { return r.Digest == o.Record.Digest })
	return Surplus(s.Now(), others, o.Client.Name, max(0, o.Client.MaxSessions-1))
}
