package record

import (
	"encoding/binary"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/apptoken/operator/internal/token"
)

// shards of the index. Writers copy one shard, so more shards make writes cheaper: at a million records a shard has 61.
const shards = 1 << 14

// Index holds values by the digest of a credential, in memory. Any number of readers take no lock and allocate nothing;
// writers exclude each other. The zero Index is empty and ready.
type Index[V any] struct {
	mu    sync.Mutex // of writers
	shard [shards]atomic.Pointer[map[token.Digest]*V]
	size  atomic.Int64
}

// Find returns the value of a digest, or nil. The value is shared: it must not be changed.
func (x *Index[V]) Find(d token.Digest) *V {
	held := x.at(d).Load()
	if held == nil {
		return nil
	}
	return (*held)[d]
}

// Len is the number of values.
func (x *Index[V]) Len() int { return int(x.size.Load()) }

// Set stores a value in place of the one that the digest has, if it has one.
func (x *Index[V]) Set(d token.Digest, v *V) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.write(d, v)
}

// Remove forgets the value of a digest.
func (x *Index[V]) Remove(d token.Digest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.write(d, nil)
}

func (x *Index[V]) write(d token.Digest, v *V) {
	at := x.at(d)
	next := make(map[token.Digest]*V)
	if held := at.Load(); held != nil {
		next = maps.Clone(*held)
	}
	before := len(next)
	if v == nil {
		delete(next, d)
	} else {
		next[d] = v
	}
	at.Store(&next)
	x.size.Add(int64(len(next) - before))
}

func (x *Index[V]) at(d token.Digest) *atomic.Pointer[map[token.Digest]*V] {
	return &x.shard[binary.BigEndian.Uint16(d[:])%shards]
}
