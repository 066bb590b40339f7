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

// Index holds records in memory by digest. Any number of readers take no lock and allocate nothing; writers exclude each
// other. The zero Index is empty and ready.
type Index struct {
	mu    sync.Mutex // of writers
	shard [shards]atomic.Pointer[map[token.Digest]*Record]
	size  atomic.Int64
}

// Find returns the record of a digest, or nil. The record is shared: it must not be changed.
func (x *Index) Find(d token.Digest) *Record {
	held := x.at(d).Load()
	if held == nil {
		return nil
	}
	return (*held)[d]
}

// Len is the number of records.
func (x *Index) Len() int { return int(x.size.Load()) }

// Set stores the record, in place of the one with its digest if there is one.
func (x *Index) Set(r Record) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.write(r.Digest, &r)
}

// Remove forgets the record of a digest.
func (x *Index) Remove(d token.Digest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.write(d, nil)
}

func (x *Index) write(d token.Digest, r *Record) {
	at := x.at(d)
	next := make(map[token.Digest]*Record)
	if held := at.Load(); held != nil {
		next = maps.Clone(*held)
	}
	before := len(next)
	if r == nil {
		delete(next, d)
	} else {
		next[d] = r
	}
	at.Store(&next)
	x.size.Add(int64(len(next) - before))
}

func (x *Index) at(d token.Digest) *atomic.Pointer[map[token.Digest]*Record] {
	return &x.shard[binary.BigEndian.Uint16(d[:])%shards]
}
