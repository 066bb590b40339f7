package login

import (
	"cmp"
	"slices"
	"sync"
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
	slices.SortFunc(live, func(a, b record.Record) int {
		return cmp.Or(a.IssuedAt.Compare(b.IssuedAt), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name(), b.Name()))
	})
	return live[:max(0, len(live)-most)]
}

// IsLogin says whether a record is that of somebody who logged in.
func IsLogin(r record.Record) bool {
	return r.Kind == token.Login || r.Kind == token.Session || r.Kind == token.Open
}

// unseen is how long a record that was just stored may take to be seen in a list.
const unseen = 30 * time.Second

// fresh remembers logins that this replica stored and does not see yet, so that many in a row do not go past the cap.
type fresh struct {
	mu sync.Mutex
	of map[string][]record.Record // by the name of the user, the oldest first
}

func (f *fresh) add(now time.Time, r record.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = map[string][]record.Record{}
	}
	f.of[r.Owner.Name] = append(f.of[r.Owner.Name], r)
	for name, rs := range f.of {
		if now.Sub(rs[len(rs)-1].IssuedAt) > unseen {
			delete(f.of, name)
		}
	}
}

// with adds to a list what it does not have yet.
func (f *fresh) with(now time.Time, owner record.Owner, known []record.Record) []record.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := make(map[token.Digest]bool, len(known))
	for _, r := range known {
		seen[r.Digest] = true
	}
	left := slices.DeleteFunc(f.of[owner.Name], func(r record.Record) bool {
		return seen[r.Digest] || now.Sub(r.IssuedAt) > unseen
	})
	if len(left) == 0 {
		delete(f.of, owner.Name)
	} else {
		f.of[owner.Name] = left
	}
	return slices.Concat(known, left)
}

func (f *fresh) remove(r record.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := slices.DeleteFunc(f.of[r.Owner.Name], func(x record.Record) bool { return x.Digest == r.Digest })
	if len(left) == 0 {
		delete(f.of, r.Owner.Name)
	} else {
		f.of[r.Owner.Name] = left
	}
}
