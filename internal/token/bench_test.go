package token_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/token"
)

func BenchmarkMint(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Mint(token.Application, rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	good := golden(b).Valid[0].Token
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Parse(good); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigestOf(b *testing.B) {
	good := golden(b).Valid[0].Token
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := token.DigestOf(good); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigestOfGarbage(b *testing.B) {
	good := golden(b).Valid[0].Token
	for name, bad := range map[string]string{
		"wrong length": good[1:], "wrong prefix": "x" + good[1:], "wrong checksum": good[:52] + "0", "16 MiB": strings.Repeat(good, 1<<24/53),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := token.DigestOf(bad); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func BenchmarkMatches(b *testing.B) {
	tok := mint(b, token.Application, make([]byte, 32))
	d := tok.Digest()
	b.ReportAllocs()
	for b.Loop() {
		if !d.Matches(tok) {
			b.Fatal("no match")
		}
	}
}

func BenchmarkFind(b *testing.B) {
	text := bytes.Repeat([]byte("level=info msg=\"a line of a log\" client_id=acme data_at=noon\n"), 1<<14)
	text = append(text, golden(b).Valid[0].Token...)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for range token.Find(text) {
			n++
		}
		if n != 1 {
			b.Fatal(n)
		}
	}
}
