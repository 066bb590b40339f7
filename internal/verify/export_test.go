package verify

import "unsafe"

// Remembered counts what the index holds beside entries.
func (x *Index) Remembered() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.grants) + len(x.owners) + len(x.tenants) + len(x.people) + len(x.ended)
}

// ItemSize is how many bytes of memory a record has in the index, beside its slot and its owner.
const ItemSize = unsafe.Sizeof(item{})
