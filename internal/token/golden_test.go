package token_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/token"
)

// vector is a token whose secret is public: it can only be used for testing.
type vector struct {
	Name, Kind, Entropy, Token, Digest, Record, Hint string
}

// number returns the 32 bytes that the token spells.
func (v vector) number(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.Entropy)
	if err != nil || len(b) != 32 {
		t.Fatalf("vector %q: entropy is not 32 bytes in hexadecimal", v.Name)
	}
	return b
}

type goldenFile struct {
	Valid   []vector
	Hostile []struct{ Name, Text string }
}

// golden reads the vectors. Another program in another language computed them.
func golden(t testing.TB) goldenFile {
	t.Helper()
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g goldenFile
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&g); err != nil {
		t.Fatal(err)
	}
	if len(g.Valid) < 10 || len(g.Hostile) < 40 {
		t.Fatalf("golden.json holds %d valid and %d hostile vectors, some are missing", len(g.Valid), len(g.Hostile))
	}
	return g
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// spelled is the oracle for spelling. It implements the format of the design with big.Int and
// hash/crc32, which the package itself does not use.
func spelled(prefix string, number []byte) string {
	return summed(prefix + "_" + base62(new(big.Int).SetBytes(number), 43))
}

// summed appends the right checksum to s.
func summed(s string) string {
	return s + base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(s)))), 6)
}

func base62(n *big.Int, width int) string {
	out := make([]byte, width)
	n, rest := new(big.Int).Set(n), new(big.Int)
	for i := range out {
		n.DivMod(n, big.NewInt(62), rest)
		out[width-1-i] = alphabet[rest.Int64()]
	}
	return string(out)
}

// wellFormed is the oracle for parsing. It decodes and spells again, where the package compares
// texts.
func wellFormed(s string) bool {
	prefix, rest, _ := strings.Cut(s, "_")
	if len(rest) != 49 || !strings.Contains(" ata atu atl ats ato atr atc ", " "+prefix+" ") {
		return false
	}
	n := new(big.Int)
	for _, c := range []byte(rest[:43]) {
		n.Mul(n, big.NewInt(62)).Add(n, big.NewInt(int64(strings.IndexByte(alphabet, c))))
	}
	return n.Sign() >= 0 && n.BitLen() <= 256 && spelled(prefix, n.FillBytes(make([]byte, 32))) == s
}

func kindNamed(t testing.TB, name string) token.Kind {
	t.Helper()
	for k := token.Application; k <= token.Access; k++ {
		if k.String() == name {
			return k
		}
	}
	t.Fatalf("no kind is called %q", name)
	return 0
}

func mint(t testing.TB, k token.Kind, number []byte) token.Token {
	t.Helper()
	tok, err := token.Mint(k, bytes.NewReader(number))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestGolden_ValidTokensRoundTrip(t *testing.T) {
	for _, v := range golden(t).Valid {
		t.Run(v.Name, func(t *testing.T) {
			kind := kindNamed(t, v.Kind)
			if got := spelled(kind.Prefix(), v.number(t)); got != v.Token {
				t.Fatalf("the oracle spells %q, the vector %q", got, v.Token)
			}
			read, err := token.Parse(v.Token)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			for by, tok := range map[string]token.Token{"Mint": mint(t, kind, v.number(t)), "Parse": read} {
				if tok.Reveal() != v.Token || tok.Kind() != kind || tok.Hint() != v.Hint {
					t.Errorf("%s: got %q, %v, hint %q", by, tok.Reveal(), tok.Kind(), tok.Hint())
				}
				if d := tok.Digest(); d.String() != v.Digest || d.RecordName() != v.Record || !d.Matches(tok) {
					t.Errorf("%s: got digest %v, record %s", by, d, d.RecordName())
				}
			}
			if want := fmt.Sprintf("%x", sha256.Sum256([]byte(v.Token))); v.Digest != want {
				t.Errorf("the digest is %s, not the SHA-256 of the whole text, %s", v.Digest, want)
			}
			if k, d, err := token.DigestOf(v.Token); err != nil || k != kind || d != read.Digest() {
				t.Errorf("DigestOf: got %v, %v, %v", k, d, err)
			}
		})
	}
}

func TestGolden_HostileTextsAreRejected(t *testing.T) {
	for _, v := range golden(t).Hostile {
		t.Run(v.Name, func(t *testing.T) { refused(t, v.Text) })
	}
}

// refused checks that Parse and DigestOf reject s with the one error that reveals nothing about it
// (threat 10).
func refused(t *testing.T, s string) {
	t.Helper()
	if wellFormed(s) {
		t.Errorf("the oracle takes %q for a token", s)
	}
	tok, err := token.Parse(s)
	if err != token.ErrMalformed || tok.Kind() != 0 || tok.Reveal() != "" { //nolint:errorlint // a wrapped error could carry the text
		t.Errorf("Parse(%q) = kind %v, %v", s, tok.Kind(), err)
	}
	kind, digest, err := token.DigestOf(s)
	if err != token.ErrMalformed || kind != 0 || digest != (token.Digest{}) { //nolint:errorlint // as above
		t.Errorf("DigestOf(%q) = %v, %v, %v", s, kind, digest, err)
	}
}
