package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// measureIndex fills an index in this process, and verifies with it.
func measureIndex(_ context.Context, b *bench) error {
	noon := time.Unix(1_800_000_000, 0)
	for _, size := range b.index {
		b.say("index: %d records", size)
		texts := make([]string, size)
		digests := make([]token.Digest, size)
		for i := range texts {
			minted, err := token.Mint(token.Application, rand.Reader)
			if err != nil {
				return err
			}
			texts[i], digests[i] = minted.Reveal(), minted.Digest()
		}
		index := &verify.Index{}
		before := heap()
		index.SetClient(acme())
		for i, d := range digests {
			r := realistic(i, d, noon)
			index.Resume(r.Owner)
			index.Set(r)
		}
		after := heap()
		r := b.report.in(fmt.Sprintf("index of %d", size))
		r.goal("memory per record", float64(after-before)/float64(size), "bytes", below(400))
		facts := verify.Facts{Permissions: []string{"search.query"}}
		r.benchmark("verify a good token", func(t *testing.B) {
			i := 0
			for t.Loop() {
				if _, verdict := index.Verify(noon, texts[i], facts); verdict != verify.Good {
					t.Fatal(verdict)
				}
				i = (i + 7919) % size // not the one beside it
			}
		})
		strangers := make([]string, 1024)
		for i := range strangers {
			minted, err := token.Mint(token.Application, rand.Reader)
			if err != nil {
				return err
			}
			strangers[i] = minted.Reveal()
		}
		r.benchmark("verify an unknown token", func(t *testing.B) {
			i := 0
			for t.Loop() {
				if _, verdict := index.Verify(noon, strangers[i%len(strangers)], facts); verdict != verify.Unknown {
					t.Fatal(verdict)
				}
				i++
			}
		})
		r.benchmark("replace a record", func(t *testing.B) {
			i := 0
			for t.Loop() {
				index.Set(realistic(i, digests[i], noon))
				i = (i + 7919) % size
			}
		})
		runtime.KeepAlive(index)
	}
	return nil
}

func acme() verify.Client {
	return verify.Client{Name: "acme-search", Ceiling: grant.NewCeiling([]grant.Role{
		{Name: "developer", Permissions: []string{"sec.application-token.*"}},
		{Name: "primary", Permissions: []string{"search.*", "sec.continuous.rest"}},
	})}
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
func realistic(i int, digest token.Digest, issued time.Time) record.Record {
	return record.Record{
		Kind: token.Application, Digest: digest, Hint: strings.Clone("…x7Qd"),
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
