package token_test

import (
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/token"
)

func TestDigest_MatchesOnlyItsToken(t *testing.T) {
	all := golden(t).Valid
	for i, a := range all {
		d, err := token.ParseDigest(a.Digest)
		if err != nil {
			t.Fatal(err)
		}
		for j, b := range all {
			if tok, _ := token.Parse(b.Token); d.Matches(tok) != (i == j) {
				t.Errorf("digest of %q, token of %q: Matches is %v", a.Name, b.Name, i != j)
			}
		}
		for bit := range len(d) * 8 {
			off := d
			off[bit/8] ^= 1 << (bit % 8)
			if tok, _ := token.Parse(a.Token); off.Matches(tok) {
				t.Errorf("bit %d of the digest does not matter", bit)
			}
		}
	}
}

func TestDigest_NeverMatchesZeroToken(t *testing.T) {
	_, err := token.Parse("")
	if err == nil {
		t.Fatal("an empty text is a token")
	}
	var none token.Token
	ofNothing, err := token.ParseDigest("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855") // SHA-256 of ""
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []token.Digest{{}, ofNothing, none.Digest()} {
		if d.Matches(none) {
			t.Errorf("%v matches no token", d)
		}
	}
	if none.Reveal() != "" || none.Hint() != "" || none.Kind() != 0 || none.Digest() != (token.Digest{}) {
		t.Error("the zero Token holds something")
	}
}

func TestParseDigest_AcceptsOneSpelling(t *testing.T) {
	good := golden(t).Valid[0].Digest
	d, err := token.ParseDigest(good)
	if err != nil || d.String() != good {
		t.Fatalf("ParseDigest(%q) = %v, %v", good, d, err)
	}
	for name, bad := range map[string]string{
		"nothing":              "",
		"one digit less":       good[1:],
		"one digit more":       good + "0",
		"one byte less":        good[2:],
		"one byte more":        good + "00",
		"capitals":             strings.ToUpper(good),
		"one capital":          strings.Replace(good, "f", "F", 1),
		"no digit":             good[:63] + "g",
		"a space":              " " + good[1:],
		"a newline at its end": good[:63] + "\n",
		"a record name":        golden(t).Valid[0].Record,
		"a token":              golden(t).Valid[0].Token,
		"a marked secret":      strings.Repeat("marked-", 10)[:64],
	} {
		d, err := token.ParseDigest(bad)
		if err != token.ErrMalformedDigest || d != (token.Digest{}) { //nolint:errorlint // a wrapped error could carry the text
			t.Errorf("%s: got %v, %v", name, d, err)
		}
	}
}

func TestRecordName_IsLabelOf35Bytes(t *testing.T) {
	d := token.Digest{0: 0xab, 15: 0x0f, 16: 0xff, 31: 0xff}
	if got, want := d.RecordName(), "at-ab00000000000000000000000000000f"; got != want || len(got) != 35 {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDigestOf_DoesNotAllocate(t *testing.T) {
	good := golden(t).Valid[0].Token
	bad := good[:52] + "0"
	tok, err := token.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	known := tok.Digest()
	index := map[token.Digest]string{known: "record"}
	for what, c := range map[string]struct {
		most float64
		run  func()
	}{
		"DigestOf of a good text": {0, func() {
			if _, d, err := token.DigestOf(good); err != nil || index[d] == "" {
				t.Error("not found")
			}
		}},
		"DigestOf of a bad text": {0, func() { _, _, _ = token.DigestOf(bad) }},
		"Parse of a bad text":    {0, func() { _, _ = token.Parse(bad) }},
		"Parse of a good text":   {1, func() { _, _ = token.Parse(good) }},
		"Digest":                 {0, func() { _ = tok.Digest() }},
		"Matches":                {0, func() { _ = known.Matches(tok) }},
		"ParseDigest":            {0, func() { _, _ = token.ParseDigest("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855") }},
	} {
		if n := testing.AllocsPerRun(100, c.run); n > c.most {
			t.Errorf("%s: %v allocations, at most %v are needed", what, n, c.most)
		}
	}
}
