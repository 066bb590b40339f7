package verify

import (
	"unsafe"

	"github.com/apptoken/operator/internal/token"
)

// Remembered counts what the index holds beside entries.
func (x *Index) Remembered() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.grants) + len(x.alike) + len(x.owners) + len(x.tenants) + len(x.people) + len(x.ended) + len(x.namespaces)
}

// ItemSize is how many bytes of memory a record has in the index, beside its slot and its owner.
const ItemSize = unsafe.Sizeof(item{})

// LoginSize is how many bytes of memory the record of a login has beside that.
const LoginSize = unsafe.Sizeof(login{})

// RememberRemoved makes the index remember so many deleted records.
func (x *Index) RememberRemoved(most int) {
	x.removed.mu.Lock()
	defer x.removed.mu.Unlock()
	x.removed.max = most
}

// RememberedRemoved counts the deleted records that are remembered, and those that are kept for their order.
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
