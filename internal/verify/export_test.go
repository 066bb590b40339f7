package verify

import (
	"unsafe"

	"github.com/apptoken/operator/internal/token"
)

// EntryCount returns how many values the index holds beside entries.
func (x *Index) EntryCount() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.grants) + len(x.sharedGrants) + len(x.owners) + len(x.clients) + len(x.users) + len(x.ended) + len(x.namespaces)
}

// ItemSize is how many bytes of memory a record takes in the index, beside its slot and its owner.
const ItemSize = unsafe.Sizeof(item{})

// LoginSize is how many more bytes of memory the record of a login takes.
const LoginSize = unsafe.Sizeof(loginState{})

// SetMaxRemoved sets how many deleted records the index remembers.
func (x *Index) SetMaxRemoved(most int) {
	x.removed.mu.Lock()
	defer x.removed.mu.Unlock()
	x.removed.max = most
}

// RemovedCounts returns how many deleted records are remembered, and how many are queued for their
// order.
func (x *Index) RemovedCounts() (all, queued int) {
	x.removed.mu.Lock()
	defer x.removed.mu.Unlock()
	for _, q := range x.removed.groups {
		queued += len(q.queue)
	}
	return len(x.removed.all), queued
}

// IsRemovedKnown reports whether a deleted record is remembered.
func (x *Index) IsRemovedKnown(d token.Digest) bool {
	_, ok := x.removed.find(d)
	return ok
}
