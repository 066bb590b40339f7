package login

import (
	"slices"
	"sync"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// notSeen is how long a stored record may take to appear in a list.
const notSeen = 30 * time.Second

// fresh remembers logins that this replica stored and that its cache does not show yet. Without it,
// many logins in a row would exceed the session limit.
type fresh struct {
	mu    sync.Mutex
	of    map[string][]record.Record // by the name of the user, the oldest first
	swept time.Time
}

func (f *fresh) add(now time.Time, r record.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = map[string][]record.Record{}
	}
	f.of[r.Owner.Name] = append(f.of[r.Owner.Name], r)
	if now.Sub(f.swept) < notSeen {
		return
	}
	f.swept = now
	for name, rs := range f.of { // removes the entries of users that no call asks about
		if now.Sub(rs[len(rs)-1].IssuedAt) > notSeen {
			delete(f.of, name)
		}
	}
}

// unseen returns the remembered records of an owner that are not in the list known.
func (f *fresh) unseen(now time.Time, owner record.Owner, known []record.Record) []record.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := make(map[token.Digest]bool, len(known))
	for _, r := range known {
		seen[r.Digest] = true
	}
	return slices.Clone(f.keep(owner.Name, func(r record.Record) bool {
		return !seen[r.Digest] && now.Sub(r.IssuedAt) <= notSeen
	}))
}

func (f *fresh) remove(r record.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keep(r.Owner.Name, func(x record.Record) bool { return x.Digest != r.Digest })
}

// keep forgets the records of a user that do not match, and returns the rest.
func (f *fresh) keep(user string, which func(record.Record) bool) []record.Record {
	left := slices.DeleteFunc(f.of[user], func(r record.Record) bool { return !which(r) })
	if len(left) == 0 {
		delete(f.of, user)
		return nil
	}
	f.of[user] = left
	return left
}
