package login

import (
	"slices"
	"sync"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// maxCacheDelay is how long a stored record may take to appear in a list.
const maxCacheDelay = 30 * time.Second

// unlistedLogins remembers logins that this replica stored and that its cache does not show yet.
// Without it, many logins in a row would exceed the session limit.
type unlistedLogins struct {
	mu        sync.Mutex
	byUser    map[string][]record.Record // by the name of the user, the oldest first
	cleanedAt time.Time
}

func (f *unlistedLogins) add(now time.Time, r record.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byUser == nil {
		f.byUser = map[string][]record.Record{}
	}
	f.byUser[r.Owner.Name] = append(f.byUser[r.Owner.Name], r)
	if now.Sub(f.cleanedAt) < maxCacheDelay {
		return
	}
	f.cleanedAt = now
	for name, rs := range f.byUser { // removes the entries of users that no call asks about
		if now.Sub(rs[len(rs)-1].IssuedAt) > maxCacheDelay {
			delete(f.byUser, name)
		}
	}
}

// missingFrom returns the remembered records of an owner that are not in the list known.
func (f *unlistedLogins) missingFrom(now time.Time, owner record.Owner, known []record.Record) []record.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := make(map[token.Digest]bool, len(known))
	for _, r := range known {
		seen[r.Digest] = true
	}
	return slices.Clone(f.retain(owner.Name, func(r record.Record) bool {
		return !seen[r.Digest] && now.Sub(r.IssuedAt) <= maxCacheDelay
	}))
}

func (f *unlistedLogins) remove(r record.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retain(r.Owner.Name, func(x record.Record) bool { return x.Digest != r.Digest })
}

// retain forgets the records of a user that do not match, and returns the rest.
func (f *unlistedLogins) retain(user string, which func(record.Record) bool) []record.Record {
	left := slices.DeleteFunc(f.byUser[user], func(r record.Record) bool { return !which(r) })
	if len(left) == 0 {
		delete(f.byUser, user)
		return nil
	}
	f.byUser[user] = left
	return left
}
