package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// noon is when everything in this process happens.
var noon = time.Unix(1_800_000_000, 0)

// crowd is an index of many records, with the texts of their tokens.
type crowd struct {
	index *verify.Index
	texts []string // one behind the other in memory, so that what is measured is the index's way to its records and not the way to the texts
	bytes float64  // of memory, for each record
}

// gather mints tokens and takes their records in, in another order than that of the texts.
func gather(size int) (crowd, error) {
	arena := make([]byte, 0, size*token.Length)
	digests := make([]token.Digest, size)
	for i := range digests {
		minted, err := token.Mint(token.Application, rand.Reader)
		if err != nil {
			return crowd{}, err
		}
		arena, digests[i] = append(arena, minted.Reveal()...), minted.Digest()
	}
	all := string(arena)
	c := crowd{index: &verify.Index{}, texts: make([]string, size)}
	for i := range c.texts {
		c.texts[i] = all[i*token.Length : (i+1)*token.Length]
	}
	before := heap()
	c.index.SetClient(acme())
	for i := range size {
		i = i * 7919 % size // 7919 is prime
		r := realistic(i, digests[i], noon)
		c.index.Resume(r.Owner)
		c.index.Set(r)
	}
	c.bytes = float64(heap()-before) / float64(size)
	if c.index.Len() != size {
		return crowd{}, fmt.Errorf("there are %d records, not %d", c.index.Len(), size)
	}
	return c, nil
}

// measureIndex fills an index in this process, and verifies with it.
func measureIndex(_ context.Context, b *bench) error {
	for _, size := range b.index {
		b.say("index: %d records", size)
		c, err := gather(size)
		if err != nil {
			return err
		}
		strangers, err := unknown(1024)
		if err != nil {
			return err
		}
		r := b.report.in(fmt.Sprintf("index of %d", size))
		r.goal("memory per record", c.bytes, "bytes", below(400))
		facts := verify.Facts{Permissions: []string{"search.query"}}
		verifier := verify.NewVerifier(c.index, nobody{}, verify.Options{Reads: 1, Now: time.Now, Lookups: func(verify.Lookup) {}})
		verifier.Heard()
		r.within("verify a good token", 500, func(t *testing.B) {
			i := 0
			for t.Loop() {
				if _, verdict := c.index.Verify(noon, c.texts[i], facts); verdict != verify.Good {
					t.Fatal(verdict)
				}
				if i++; i == size {
					i = 0
				}
			}
		})
		r.benchmark("verify a good token, on all cores", func(t *testing.B) {
			var from atomic.Int64
			t.RunParallel(func(p *testing.PB) {
				i := int(from.Add(int64(size)/16)) % size
				for p.Next() {
					if _, verdict := c.index.Verify(noon, c.texts[i], facts); verdict != verify.Good {
						t.Error(verdict)
					}
					if i++; i == size {
						i = 0
					}
				}
			})
		})
		r.benchmark("verify an unknown token", func(t *testing.B) {
			i := 0
			for t.Loop() {
				if _, verdict := c.index.Verify(noon, strangers[i%len(strangers)], facts); verdict != verify.Unknown {
					t.Fatal(verdict)
				}
				i++
			}
		})
		r.benchmark("verify a good token and note its use", func(t *testing.B) {
			i := 0
			for t.Loop() {
				if _, verdict := verifier.Verify(context.Background(), c.texts[i], facts); verdict != verify.Good {
					t.Fatal(verdict)
				}
				if i++; i == size {
					i = 0
				}
			}
		})
		r.benchmark("replace a record", func(t *testing.B) {
			i := 0
			for t.Loop() {
				_, digest, err := token.DigestOf(c.texts[i])
				if err != nil {
					t.Fatal(err)
				}
				c.index.Set(realistic(i, digest, noon))
				i = (i + 7919) % size
			}
		})
		runtime.KeepAlive(c)
	}
	return nil
}

// unknown are well-formed tokens of which there is no record.
func unknown(n int) ([]string, error) {
	list := make([]string, n)
	for i := range list {
		minted, err := token.Mint(token.Application, rand.Reader)
		if err != nil {
			return nil, err
		}
		list[i] = minted.Reveal()
	}
	return list, nil
}

// nobody is a store without records.
type nobody struct{}

func (nobody) Find(context.Context, token.Digest) (record.Record, error) {
	return record.Record{}, record.ErrGone
}

func (nobody) RetireAnyway(context.Context, record.Record) error { return nil }

func acme() verify.Client {
	return verify.Client{Name: "acme-search", Ceiling: grant.NewCeiling([]grant.Role{
		{Name: "developer", Permissions: []string{"sec.application-token.*", "sec.token.introspect"}},
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
