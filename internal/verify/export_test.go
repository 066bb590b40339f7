package verify

import (
	"unsafe"

	"github.com/apptoken/operator/internal/token"
)

// Remembered returns how many values the index holds beside entries.
func (x *Index) Remembered() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.grants) + len(x.alike) + len(x.owners) + len(x.tenants) + len(x.people) + len(x.ended) + len(x.namespaces)
}

// ItemSize is how many bytes of memory a record takes in the index, beside its slot and its owner.
const ItemSize = unsafe.Sizeof(item{})

// LoginSize is how many more bytes of memory the record of a login takes.
const LoginSize = unsafe.Sizeof(login{})

// RememberRemoved sets how many deleted records the index remembers.
func (x *Index) RememberRemoved(most int) {
	x.removed.mu.Lock()
	defer x.removed.mu.Unlock()
	x.removed.max = most
}

// RememberedRemoved returns how many deleted records are remembered, and how many are queued for
// their order.
func (x *Index) RememberedRemoved() (all, queued int) {
	x.removed.mu.Lock()
	defer x.removed.mu.Unlock()
	for _, q := range x.removed.shares {
		queued += len(q.queue)
	}
	return len(x.removed.all), queued
}

// IsRemembered reports whether a deleted record is remembered.
func (x *Index) IsRemembered(d token.Digest) bool {
	_, ok := x.removed.find(d)
	return ok
}
