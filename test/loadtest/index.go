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
		for _, kind := range kindsAt(size, b.index, token.Login, token.Open) {
			if err := measureIndexOf(b, size, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

func measureIndexOf(b *bench, size int, kind token.Kind) error {
	section := fmt.Sprintf("index of %d", size)
	if kind != token.Application {
		section += " " + recordsLabel(kind)
	}
	b.logf("%s", section)
	c, err := newTokenSet(size, kind)
	if err != nil {
		return err
	}
	unknown, err := unknownTokens(1024)
	if err != nil {
		return err
	}
	r := b.report.section(section)
	if kind == token.Application {
		r.addGoal("memory per record", c.bytes, "bytes", below(400))
	} else {
		r.add("memory per record", c.bytes, "bytes")
	}
	r.addBounded("verify a good token", 500, c.verifyEach)
	r.addBenchmark("verify a good token, on all cores", c.verifyInParallel)
	r.addBenchmark("verify an unknown token", func(t *testing.B) {
		i := 0
		for t.Loop() {
			if _, verdict := c.index.Verify(c.noon, unknown[i%len(unknown)], c.facts); verdict != verify.Unknown {
				t.Fatal(verdict)
			}
			i++
		}
	})
	r.addBenchmark("verify a good token and note its use", c.verifyAndTrack)
	r.addBenchmark("replace a record", c.replaceEach)
	runtime.KeepAlive(c)
	return nil
}

// verifyEach verifies the tokens one after another.
func (c *tokenSet) verifyEach(t *testing.B) {
	facts, i := c.facts, 0
	for t.Loop() {
		facts.Session = c.session(i)
		if _, verdict := c.index.Verify(c.noon, c.texts[i], facts); verdict != verify.Valid {
			t.Fatal(verdict)
		}
		if i++; i == len(c.texts) {
			i = 0
		}
	}
}

// verifyInParallel verifies the tokens on all cores, each from another start.
func (c *tokenSet) verifyInParallel(t *testing.B) {
	var from atomic.Int64
	size := len(c.texts)
	t.RunParallel(func(p *testing.PB) {
		facts := c.facts
		i := int(from.Add(int64(size)/16)) % size
		for p.Next() {
			facts.Session = c.session(i)
			if _, verdict := c.index.Verify(c.noon, c.texts[i], facts); verdict != verify.Valid {
				t.Error(verdict)
			}
			if i++; i == size {
				i = 0
			}
		}
	})
}

// verifyAndTrack verifies the tokens with a verifier, which keeps the last use of each.
func (c *tokenSet) verifyAndTrack(t *testing.B) {
	verifier := verify.NewVerifier(c.index, emptyStore{}, verify.Options{LookupsPerSecond: 1, Now: time.Now, OnLookup: func(verify.Lookup) {}})
	verifier.MarkFresh()
	facts, i := c.facts, 0
	for t.Loop() {
		facts.Session = c.session(i)
		if _, verdict := verifier.Verify(context.Background(), c.texts[i], facts); verdict != verify.Valid {
			t.Fatal(verdict)
		}
		if i++; i == len(c.texts) {
			i = 0
		}
	}
}

// replaceEach replaces the records, in another order than that of the texts.
func (c *tokenSet) replaceEach(t *testing.B) {
	i := 0
	for t.Loop() {
		_, digest, err := token.DigestOf(c.texts[i])
		if err != nil {
			t.Fatal(err)
		}
		c.index.Set(c.record(i, digest))
		i = (i + 7919) % len(c.texts)
	}
}

// unknownTokens mints well-formed tokens of which there is no record.
func unknownTokens(n int) ([]string, error) {
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

// emptyStore is a record store without records.
type emptyStore struct{}

func (emptyStore) Find(context.Context, token.Digest) (record.Record, error) {
	return record.Record{}, record.ErrGone
}

func (emptyStore) RetireAnyway(context.Context, record.Record) error { return nil }
