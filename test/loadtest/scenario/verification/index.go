package verification

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
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

// MeasureIndex fills indexes in this process, and verifies with them.
func MeasureIndex(_ context.Context, b *scenario.Run) error {
	for _, size := range b.Index {
		for _, kind := range kindsAt(size, b.Index, token.Login, token.Open) {
			if err := measureIndexOf(b, size, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

func measureIndexOf(b *scenario.Run, size int, kind token.Kind) error {
	section := fmt.Sprintf("index of %d", size)
	if kind != token.Application {
		section += " " + recordsLabel(kind)
	}
	b.Logf("%s", section)
	c, err := newTokenSet(size, kind)
	if err != nil {
		return err
	}
	unknown, err := unknownTokens(1024)
	if err != nil {
		return err
	}
	r := b.Report.Table(section)
	if kind == token.Application {
		r.AddGoal("memory per record", c.bytes, "bytes", report.Below(400))
	} else {
		r.Add("memory per record", c.bytes, "bytes")
	}
	r.AddBounded("verify a valid token", 500, c.verifyEach)
	r.AddBenchmark("verify a valid token, on all cores", c.verifyInParallel)
	r.AddBenchmark("verify an unknown token", func(t *testing.B) {
		i := 0
		for t.Loop() {
			if _, verdict := c.index.Verify(c.noon, unknown[i%len(unknown)], c.facts); verdict != verify.Unknown {
				t.Fatal(verdict)
			}
			i++
		}
	})
	r.AddBenchmark("verify a valid token and note its use", c.verifyAndTrack)
	r.AddBenchmark("replace a record", c.replaceEach)
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
