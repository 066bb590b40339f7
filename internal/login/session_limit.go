package login

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// ExcessLogins returns the logins of a group that exceed a limit, in the order in which they end.
// Logins that are over do not count.
func ExcessLogins(now time.Time, rs []record.Record, g Group, most int) []record.Record {
	var live []*record.Record // a record is large
	for i := range rs {
		if IsLogin(rs[i]) && GroupOf(rs[i]) == g && !rs[i].IsOver(now) {
			live = append(live, &rs[i])
		}
	}
	excess := len(live) - most
	switch {
	case excess <= 0:
		return nil
	case excess == 1: // after almost every login at the limit
		return []record.Record{*slices.MinFunc(live, compareForLimit)}
	}
	slices.SortFunc(live, compareForLimit)
	first := make([]record.Record, 0, excess)
	for _, r := range live[:excess] {
		first = append(first, *r)
	}
	return first
}

// compareForLimit compares two logins of a group: the one that ends first is less. That is the
// older one. Session tokens end by their last use, as far as the API server holds it. A program
// holds one for each of its web sessions and never renews it, so the oldest may be in use.
func compareForLimit(a, b *record.Record) int {
	if a.Kind == token.Session {
		return cmp.Or(a.LastActive().Compare(b.LastActive()), record.CompareAge(*a, *b))
	}
	return record.CompareAge(*a, *b)
}

// IsLogin reports whether a record is that of a login.
func IsLogin(r record.Record) bool {
	return r.Kind == token.Login || r.Kind == token.Session || r.Kind == token.Open
}

// enforceSessionLimit ends the excess logins beside a new one, of its kind. It never ends the new
// login itself, which may sort as the oldest among those of the same second. It ignores errors: the
// new login is valid, and the reconciler enforces the limit again.
func (s *Service) enforceSessionLimit(ctx context.Context, o Opened) {
	now, most := s.Now(), LimitOf(o.Record.Kind, o.User, o.Client)
	// Each login is in the cache, or remembered as stored here, or both. Where these are no more
	// than the limit, the list is empty.
	known, err := s.Records.ListLogins(ctx, record.LoginQuery{
		User: o.Record.Owner, Kind: o.Record.Kind, Client: o.Record.Client, Fewest: most + 1 - s.unlisted.count(now, GroupOf(o.Record)),
	})
	if err != nil {
		return
	}
	known = s.ended.without(known)
	unlisted := s.unlisted.missingFrom(now, o.Record, known)
	others := append(known, unlisted...)
	leaveOut := func(gone record.Record) {
		others = slices.DeleteFunc(others, func(r record.Record) bool { return r.Digest == gone.Digest })
	}
	leaveOut(o.Record)
	excess := func() []record.Record {
		return ExcessLogins(now, WithoutPendingSuccessors(others), GroupOf(o.Record), max(0, most-1)) // beside the new one
	}
	if len(excess()) == 0 {
		return
	}
	// A login that was stored here and is not in the cache may have ended on another replica since.
	// No other login ends for one that has ended.
	for _, r := range unlisted {
		if _, err := s.Records.Find(ctx, r.Digest); errors.Is(err, record.ErrGone) {
			s.unlisted.remove(r)
			leaveOut(r)
		}
	}
	for _, r := range excess() {
		if err := s.retire(ctx, r); err != nil {
			return
		}
	}
}
