package hashtable

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/apptoken/operator/internal/token"
)

// Table holds items by the digest of a credential, in memory. Readers take no lock and allocate
// nothing, whatever their number; writers exclude each other. The zero Table is empty and ready.
//
// It is a hash table with linear probing. Digests are evenly distributed already, so their first
// bytes are the hash. A reader touches one cache line of the table and, if there is an item, the
// item itself.
type Table[V any] struct {
	mu      sync.Mutex // held by writers
	current atomic.Pointer[table[V]]
}

// Item is a value and the digest that it is found by, in one piece of memory.
type Item[V any] struct {
	Digest token.Digest
	Value  V
}

// table is the part that readers see. A slot that was used stays used in this table: concurrent
// readers must not miss the items behind it.
type table[V any] struct {
	slots     []slot[V] // a power of two of them, so that a mask replaces a division
	tombstone *Item[V]  // takes the slot of a removed item
	usedSlots int       // slots of items, present or removed
	size      atomic.Int64
}

type slot[V any] struct {
	hash uint64 // written before the item is, and never again
	item atomic.Pointer[Item[V]]
}

// minSlots is the minimum number of slots of a table.
const minSlots = 16

// Find returns the item of a digest, or nil.
func (x *Table[V]) Find(d token.Digest) *Item[V] {
	t := x.current.Load()
	if t == nil {
		return nil
	}
	_, item := t.find(&d)
	return item
}

// find returns the slot and the item of a digest. Without an item, it returns the free slot where
// the item would go.
func (t *table[V]) find(d *token.Digest) (*slot[V], *Item[V]) {
	hash := hashOf(d)
	mask := uint64(len(t.slots)) - 1
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		item := s.item.Load()
		if item == nil {
			return s, nil
		}
		if s.hash == hash && item != t.tombstone && item.Digest == *d {
			return s, item
		}
	}
}

func hashOf(d *token.Digest) uint64 { return binary.LittleEndian.Uint64(d[:]) }

// Len returns the number of items.
func (x *Table[V]) Len() int {
	if t := x.current.Load(); t != nil {
		return int(t.size.Load())
	}
	return 0
}

// Set adds an item, and replaces an item with the same digest. The caller must not change the
// digest of the item afterwards.
func (x *Table[V]) Set(item *Item[V]) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.current.Load()
	if t == nil {
		t = newTable[V](0)
		x.current.Store(t)
	}
	s, before := t.find(&item.Digest)
	if before != nil {
		s.item.Store(item)
		return
	}
	if 4*(t.usedSlots+1) > 3*len(t.slots) {
		t = t.rebuilt()
		x.current.Store(t)
		s, _ = t.find(&item.Digest)
	}
	t.insert(s, item)
}

// Remove removes the item of a digest.
func (x *Table[V]) Remove(d token.Digest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.current.Load()
	if t == nil {
		return
	}
	if s, item := t.find(&d); item != nil {
		s.item.Store(t.tombstone)
		t.size.Add(-1)
	}
}

// newTable returns an empty table. The given number of items fills at most three eighths of it.
func newTable[V any](items int) *table[V] {
	slots := minSlots
	for 3*slots < 8*items {
		slots *= 2
	}
	return &table[V]{slots: make([]slot[V], slots), tombstone: new(Item[V])}
}

// rebuilt returns a copy without the tombstones. It frees so many slots that the cost of copying is
// small beside that of the writes to come.
func (t *table[V]) rebuilt() *table[V] {
	next := newTable[V](int(t.size.Load()) + 1)
	for i := range t.slots {
		if item := t.slots[i].item.Load(); item != nil && item != t.tombstone {
			s, _ := next.find(&item.Digest)
			next.insert(s, item)
		}
	}
	return next
}

// insert puts an item into a free slot.
func (t *table[V]) insert(s *slot[V], item *Item[V]) {
	s.hash = hashOf(&item.Digest)
	s.item.Store(item)
	t.usedSlots++
	t.size.Add(1)
}
