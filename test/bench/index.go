package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// measureIndex fills indexes in this process, and verifies with them.
func measureIndex(_ context.Context, b *bench) error {
	for _, size := range b.index {
		for _, kind := range kindsOf(size, b.index, token.Login, token.Open) {
			if err := b.inTheIndex(size, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) inTheIndex(size int, kind token.Kind) error {
	section := fmt.Sprintf("index of %d", size)
	if kind != token.Application {
		section += " " + recordsOf(kind)
	}
	b.say("%s", section)
	c, err := gather(size, kind)
	if err != nil {
		return err
	}
	strangers, err := unknown(1024)
	if err != nil {
		return err
	}
	r := b.report.in(section)
	if kind == token.Application {
		r.goal("memory per record", c.bytes, "bytes", below(400))
	} else {
		r.add("memory per record", c.bytes, "bytes")
	}
	facts := c.facts
	verifier := verify.NewVerifier(c.index, nobody{}, verify.Options{Reads: 1, Now: time.Now, Lookups: func(verify.Lookup) {}})
	verifier.Heard()
	r.within("verify a good token", 500, func(t *testing.B) {
		i := 0
		for t.Loop() {
			facts.Session = c.session(i)
			if _, verdict := c.index.Verify(c.noon, c.texts[i], facts); verdict != verify.Good {
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
			facts := facts
			i := int(from.Add(int64(size)/16)) % size
			for p.Next() {
				facts.Session = c.session(i)
				if _, verdict := c.index.Verify(c.noon, c.texts[i], facts); verdict != verify.Good {
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
			if _, verdict := c.index.Verify(c.noon, strangers[i%len(strangers)], facts); verdict != verify.Unknown {
				t.Fatal(verdict)
			}
			i++
		}
	})
	r.benchmark("verify a good token and note its use", func(t *testing.B) {
		i := 0
		for t.Loop() {
			facts.Session = c.session(i)
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
			c.index.Set(c.record(i, digest))
			i = (i + 7919) % size
		}
	})
	runtime.KeepAlive(c)
	return nil
}

// unknown mints well-formed tokens of which there is no record.
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

// nobody is a record store without records.
type nobody struct{}

func (nobody) Find(context.Context, token.Digest) (record.Record, error) {
	return record.Record{}, record.ErrGone
}

func (nobody) RetireAnyway(context.Context, record.Record) error { return nil }
