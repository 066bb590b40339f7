package record

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/apptoken/operator/internal/token"
)

// Index holds items by the digest of a credential, in memory. Any number of readers take no lock and allocate nothing;
// writers exclude each other. The zero Index is empty and ready.
//
// It is a hash table with linear probing. Digests are evenly spread already, so their first bytes are the hash. A reader
// touches one line of the table and, if there is something, the item itself.
type Index[V any] struct {
	mu  sync.Mutex // of writers
	now atomic.Pointer[table[V]]
}

// Item is a value beside the digest that it is found by, in one piece of memory.
type Item[V any] struct {
	Digest token.Digest
	Value  V
}

// table is what readers look into. A slot that was taken stays so in this table: readers who are under way must not miss
// what is behind it.
type table[V any] struct {
	slots []slot[V] // a power of two of them, so that a mask takes the place of a division
	gone  *Item[V]  // stands in for what was removed
	taken int       // by items that are there, and by those that are gone
	size  atomic.Int64
}

type slot[V any] struct {
	hash uint64 // written before the item is, and never again
	item atomic.Pointer[Item[V]]
}

// fewest slots of a table.
const fewest = 16

// Find returns the item of a digest, or nil.
func (x *Index[V]) Find(d token.Digest) *Item[V] {
	t := x.now.Load()
	if t == nil {
		return nil
	}
	_, item := t.find(&d)
	return item
}

// find returns the slot and the item of a digest. Without one, the slot is that where it would be, and is free.
func (t *table[V]) find(d *token.Digest) (*slot[V], *Item[V]) {
	hash := hashOf(d)
	mask := uint64(len(t.slots)) - 1
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		item := s.item.Load()
		if item == nil {
			return s, nil
		}
		if s.hash == hash && item != t.gone && item.Digest == *d {
			return s, item
		}
	}
}

func hashOf(d *token.Digest) uint64 { return binary.LittleEndian.Uint64(d[:]) }

// Len is the number of items.
func (x *Index[V]) Len() int {
	if t := x.now.Load(); t != nil {
		return int(t.size.Load())
	}
	return 0
}

// Set puts in an item, in place of the one that has its digest, if there is one. Its digest must not change any more.
func (x *Index[V]) Set(item *Item[V]) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.now.Load()
	if t == nil {
		t = newTable[V](0)
		x.now.Store(t)
	}
	s, before := t.find(&item.Digest)
	if before != nil {
		s.item.Store(item)
		return
	}
	if 4*(t.taken+1) > 3*len(t.slots) {
		t = t.renewed()
		x.now.Store(t)
		s, _ = t.find(&item.Digest)
	}
	t.take(s, item)
}

// Remove forgets the item of a digest.
func (x *Index[V]) Remove(d token.Digest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.now.Load()
	if t == nil {
		return
	}
	if s, item := t.find(&d); item != nil {
		s.item.Store(t.gone)
		t.size.Add(-1)
	}
}

// newTable returns an empty one that so many items fill to three eighths at most.
func newTable[V any](items int) *table[V] {
	slots := fewest
	for 3*slots < 8*items {
		slots *= 2
	}
	return &table[V]{slots: make([]slot[V], slots), gone: new(Item[V])}
}

// renewed is a copy without what is gone. As many slots are free again as make the copying small beside the writes to come.
func (t *table[V]) renewed() *table[V] {
	next := newTable[V](int(t.size.Load()) + 1)
	for i := range t.slots {
		if item := t.slots[i].item.Load(); item != nil && item != t.gone {
			s, _ := next.find(&item.Digest)
			next.take(s, item)
		}
	}
	return next
}

// take puts an item into a free slot.
func (t *table[V]) take(s *slot[V], item *Item[V]) {
	s.hash = hashOf(&item.Digest)
	s.item.Store(item)
	t.taken++
	t.size.Add(1)
}
