package verification

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

// MeasureToken measures the computations of a verification and of an issue.
func MeasureToken(_ context.Context, b *scenario.Run) error {
	tok, err := token.Mint(token.Application, rand.Reader)
	if err != nil {
		return err
	}
	text, digest := tok.Reveal(), tok.Digest()
	r := b.Report.Table("token")
	r.AddBenchmark("mint", func(t *testing.B) {
		for t.Loop() {
			if _, err := token.Mint(token.Application, rand.Reader); err != nil {
				t.Fatal(err)
			}
		}
	})
	r.AddBenchmark("parse", func(t *testing.B) {
		for t.Loop() {
			if _, err := token.Parse(text); err != nil {
				t.Fatal(err)
			}
		}
	})
	r.AddBenchmark("digest of a presented text", func(t *testing.B) {
		for t.Loop() {
			if _, _, err := token.DigestOf(text); err != nil {
				t.Fatal(err)
			}
		}
	})
	r.AddBenchmark("refuse a text with a wrong checksum", func(t *testing.B) {
		bad := text[:len(text)-1] + "?"
		for t.Loop() {
			if _, _, err := token.DigestOf(bad); err == nil {
				t.Fatal("accepted")
			}
		}
	})
	r.AddBenchmark("compare with a digest", func(t *testing.B) {
		for t.Loop() {
			if !digest.Matches(tok) {
				t.Fatal("no match")
			}
		}
	})
	return nil
}
