package token_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/token"
)

// seed adds every valid and hostile vector to the corpus.
func seed(f *testing.F) {
	g := golden(f)
	for _, v := range g.Valid {
		f.Add(v.Token)
	}
	for _, v := range g.Hostile {
		f.Add(v.Text)
	}
	f.Add(summed("ata_" + strings.Repeat("0", 20) + "\xff" + strings.Repeat("0", 22)))
	f.Add(strings.Repeat("ata_", 200))
}

// FuzzParse checks threats 10, 15 and 16: no text crashes the parser, no error repeats the text,
// and an accepted text has one spelling.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := token.Parse(s)
		if err != nil {
			refused(t, s)
			return
		}
		if !wellFormed(s) {
			t.Fatalf("%q is accepted against the format", s)
		}
		kind, digest, err := token.DigestOf(s)
		if err != nil || tok.Reveal() != s || tok.Kind() != kind || kind.Prefix() != s[:3] || !digest.Matches(tok) {
			t.Fatalf("%q is read as %q, %v, %v, %v", s, tok.Reveal(), tok.Kind(), kind, err)
		}
	})
}

// FuzzDigestOf appends the right checksum to each fuzzed text, because the fuzzer would hardly ever
// find one by chance.
func FuzzDigestOf(f *testing.F) {
	f.Add("ata_", strings.Repeat("0", 43))
	f.Add("ats_", strings.Repeat("z", 43))
	f.Add("ato_", "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1")
	f.Add("atr_", "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp2")
	f.Fuzz(func(t *testing.T, prefix, number string) {
		s := summed(prefix + number)
		if !wellFormed(s) {
			refused(t, s)
		} else if _, _, err := token.DigestOf(s); err != nil {
			t.Fatalf("%q is refused against the format", s)
		}
	})
}

// FuzzFind compares Find with the published regular expression, and checks that nothing found
// survives Redact.
func FuzzFind(f *testing.F) {
	seed(f)
	re := regexp.MustCompile(token.Pattern)
	a, b := golden(f).Valid[0].Token, golden(f).Valid[4].Token
	for _, between := range []string{"", " ", "_", "é", "0", "ata_", "\n"} {
		f.Add(a + between + b)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want []string
		for _, word := range re.FindAllString(s, -1) {
			if wellFormed(word) {
				want = append(want, word)
			}
		}
		got := found(s)
		if !slices.Equal(got, want) {
			t.Fatalf("found %q, the pattern and the checksum %q", got, want)
		}
		red := token.Redact(s)
		for _, tok := range got {
			if strings.Contains(red, tok) {
				t.Fatalf("%q is still in %q", tok, red)
			}
		}
		if again := token.Redact(red); again != red || len(found(red)) != 0 {
			t.Fatalf("redacted %q, then %q", red, again)
		}
	})
}

// FuzzParseDigest checks that ParseDigest accepts exactly what String returns.
func FuzzParseDigest(f *testing.F) {
	for _, v := range golden(f).Valid {
		f.Add(v.Digest)
		f.Add(strings.ToUpper(v.Digest))
		f.Add(v.Record)
	}
	spelling := regexp.MustCompile(`^[0-9a-f]{64}$`)
	f.Fuzz(func(t *testing.T, s string) {
		d, err := token.ParseDigest(s)
		if (err == nil) != spelling.MatchString(s) || err == nil && d.String() != s {
			t.Fatalf("%q is read as %v, %v", s, d, err)
		}
	})
}
