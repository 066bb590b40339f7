package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// measureIndex fills an index in this process. In the operator an index shares its texts with the cache of the watch;
// here each record has its own, so the memory is the most that it can be.
func measureIndex(_ context.Context, b *bench) error {
	for _, size := range b.index {
		b.say("index: %d records", size)
		index := &record.Index{}
		digests := make([]token.Digest, size)
		before := heap()
		for i := range digests {
			r := realistic(i)
			digests[i] = r.Digest
			index.Set(r)
		}
		after := heap()
		r := b.report.in(fmt.Sprintf("index of %d", size))
		r.goal("memory per record", float64(after-before)/float64(size), "bytes", below(1024))
		r.benchmark("find a record", func(t *testing.B) {
			i := 0
			for t.Loop() {
				if index.Find(digests[i]) == nil {
					t.Fatal("a record is missing")
				}
				i = (i + 7919) % size // not the one beside it
			}
		})
		var stranger token.Digest
		r.benchmark("find nothing", func(t *testing.B) {
			i := uint64(0)
			for t.Loop() {
				i += 0x9E3779B97F4A7C15
				stranger[0], stranger[1], stranger[31] = byte(i>>56), byte(i>>48), byte(i)
				if index.Find(stranger) != nil {
					t.Fatal("a stranger was found")
				}
			}
		})
		r.benchmark("replace a record", func(t *testing.B) {
			other := realistic(0)
			i := 0
			for t.Loop() {
				other.Digest = digests[i]
				index.Set(other)
				i = (i + 7919) % size
			}
		})
		runtime.KeepAlive(index)
	}
	return nil
}

// heap is what is in use after everything that can go is gone.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// realistic is a record of an ApplicationToken, with texts of its own, as they come from the API server.
func realistic(i int) record.Record {
	var digest token.Digest
	_, _ = rand.Read(digest[:]) // it never fails
	issued := time.Unix(1_800_000_000, 0)
	return record.Record{
		Digest: digest, Hint: strings.Clone("…x7Qd"),
		Owner: record.Owner{
			Kind: strings.Clone("ApplicationToken"), Namespace: fmt.Sprintf("team-%03d", i%1000), Name: fmt.Sprintf("indexer-%07d", i),
			UID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i),
		},
		Client:      strings.Clone("acme-search"),
		Roles:       []string{strings.Clone("developer"), strings.Clone("primary")},
		Permissions: []string{strings.Clone("search.query"), strings.Clone("sec.continuous.rest")},
		IssuedAt:    issued, ExpiresAt: issued.Add(2160 * time.Hour), CreatedAt: issued,
		Version: 2, Trigger: strings.Clone("2026-01-31"), Predecessor: digest.RecordName(),
	}
}
