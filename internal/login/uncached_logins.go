package login

import (
	"maps"
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

// missingFrom returns the remembered logins of the owner and the kind of a record that are not in
// the list known of such logins.
func (f *unlistedLogins) missingFrom(now time.Time, like record.Record, known []record.Record) []record.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	listed := make(map[token.Digest]bool, len(f.byUser[like.Owner.Name])) // few, where known may be many
	for _, r := range f.byUser[like.Owner.Name] {
		listed[r.Digest] = false
	}
	for i := range known {
		if _, remembered := listed[known[i].Digest]; remembered {
			listed[known[i].Digest] = true
		}
	}
	left := slices.Clone(f.retain(like.Owner.Name, func(r record.Record) bool {
		return !listed[r.Digest] && now.Sub(r.IssuedAt) <= maxCacheDelay
	}))
	return slices.DeleteFunc(left, func(r record.Record) bool { return r.Kind != like.Kind })
}

// count returns how many remembered logins are of a group, whether or not they are in the cache by
// now.
func (f *unlistedLogins) count(now time.Time, g Group) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.retain(g.User, func(r record.Record) bool { return now.Sub(r.IssuedAt) <= maxCacheDelay }) {
		if GroupOf(r) == g {
			n++
		}
	}
	return n
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

// endedLogins remembers the logins that this replica ended and that its cache may still show.
// Otherwise a login that follows a logout could end another one for the one that has ended.
type endedLogins struct {
	mu        sync.Mutex
	at        map[token.Digest]time.Time
	cleanedAt time.Time
}

func (e *endedLogins) add(now time.Time, d token.Digest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.at == nil {
		e.at = map[token.Digest]time.Time{}
	}
	e.at[d] = now
	if now.Sub(e.cleanedAt) < maxCacheDelay {
		return
	}
	e.cleanedAt = now
	maps.DeleteFunc(e.at, func(_ token.Digest, at time.Time) bool { return now.Sub(at) > maxCacheDelay })
}

// without removes the remembered logins from a list, in place.
func (e *endedLogins) without(rs []record.Record) []record.Record {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.DeleteFunc(rs, func(r record.Record) bool {
		_, ended := e.at[r.Digest]
		return ended
	})
}
