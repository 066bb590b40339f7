package main

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/apptoken/operator/internal/token"
)

// measureToken measures the computations of a verification and of an issue.
func measureToken(_ context.Context, b *bench) error {
	tok, err := token.Mint(token.Application, rand.Reader)
	if err != nil {
		return err
	}
	text, digest := tok.Reveal(), tok.Digest()
	r := b.report.section("token")
	r.addBenchmark("mint", func(t *testing.B) {
		for t.Loop() {
			if _, err := token.Mint(token.Application, rand.Reader); err != nil {
				t.Fatal(err)
			}
		}
	})
	r.addBenchmark("parse", func(t *testing.B) {
		for t.Loop() {
			if _, err := token.Parse(text); err != nil {
				t.Fatal(err)
			}
		}
	})
	r.addBenchmark("digest of a presented text", func(t *testing.B) {
		for t.Loop() {
			if _, _, err := token.DigestOf(text); err != nil {
				t.Fatal(err)
			}
		}
	})
	r.addBenchmark("refuse a text with a wrong checksum", func(t *testing.B) {
		bad := text[:len(text)-1] + "?"
		for t.Loop() {
			if _, _, err := token.DigestOf(bad); err == nil {
				t.Fatal("accepted")
			}
		}
	})
	r.addBenchmark("compare with a digest", func(t *testing.B) {
		for t.Loop() {
			if !digest.Matches(tok) {
				t.Fatal("no match")
			}
		}
	})
	return nil
}
