package token

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestFamily_IdentifiesEveryRefreshToken(t *testing.T) {
	family, err := NewFamily(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewFamily(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Digest]bool{}
	for range 100 {
		tok, err := family.Mint(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		read, err := Parse(tok.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		if got := read.Family().Digest(); got != family.Digest() || got == other.Digest() {
			t.Error("a refresh token is not known by its family")
		}
		if read.Kind() != Refresh || seen[read.Digest()] {
			t.Errorf("kind %s, seen %v", read.Kind(), seen[read.Digest()])
		}
		seen[read.Digest()] = true
	}
}

func TestDecode_InvertsEncode(t *testing.T) {
	for name, seed := range map[string][32]byte{
		"zero": {}, "one": {31: 1}, "the largest": [32]byte(bytes.Repeat([]byte{0xFF}, 32)), "the half": {15: 1}, "the other half": {16: 0x80},
	} {
		var text [randomLen]byte
		encode(&text, seed)
		if got := decode(&text); got != seed {
			t.Errorf("%s: %x, want %x", name, got, seed)
		}
	}
}

func TestFamily_OnlyRefreshTokensHaveOne(t *testing.T) {
	for k := Application; k < Refresh; k++ {
		tok, err := Mint(k, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if tok.Family().Digest() != (Digest{}) {
			t.Errorf("%s has one", k)
		}
	}
	if _, err := (Family{}).Mint(rand.Reader); err == nil {
		t.Error("a token of no family was made")
	}
	if (Token{}).Family().Digest() != (Digest{}) {
		t.Error("no token has a family")
	}
}

func TestFamily_RejectsShortEntropy(t *testing.T) {
	if _, err := NewFamily(io.LimitReader(rand.Reader, 15)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	family, err := NewFamily(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := family.Mint(io.LimitReader(rand.Reader, 15)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestFamily_IsNotPrinted(t *testing.T) {
	family, err := NewFamily(strings.NewReader("MARKMARKMARKMARK"))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if text := fmt.Sprintf(verb, family); strings.Contains(text, "MARK") || strings.Contains(text, fmt.Sprintf("%x", "MARK")) {
			t.Errorf("%s prints it", verb)
		}
	}
}
