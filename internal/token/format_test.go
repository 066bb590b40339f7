package token_test

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/token"
)

// seeded returns a source that yields the same numbers on every run.
func seeded() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{31: 1}) }

func random(t testing.TB, from *rand.ChaCha8) []byte {
	t.Helper()
	number := make([]byte, 32)
	if _, err := from.Read(number); err != nil {
		t.Fatal(err)
	}
	return number
}

func TestKind_PrefixesAndNames(t *testing.T) {
	want := map[token.Kind][2]string{
		token.Application:     {"ata", "Application"},
		token.UserApplication: {"atu", "UserApplication"},
		token.Login:           {"atl", "Login"},
		token.Session:         {"ats", "Session"},
		token.Open:            {"ato", "Open"},
		token.Refresh:         {"atr", "Refresh"},
		token.Access:          {"atc", "Access"},
		0:                     {"", "Unknown"},
		token.Access + 1:      {"", "Unknown"},
		255:                   {"", "Unknown"},
	}
	for k, w := range want {
		if k.Prefix() != w[0] || k.String() != w[1] {
			t.Errorf("kind %d: prefix %q, name %q", uint8(k), k.Prefix(), k)
		}
	}
}

func TestMint_SpellsLikeOracle(t *testing.T) {
	check := func(number []byte) {
		t.Helper()
		for k := token.Application; k <= token.Access; k++ {
			tok := mint(t, k, number)
			if got, want := tok.Reveal(), spelled(k.Prefix(), number); got != want {
				t.Fatalf("%x: got %q, want %q", number, got, want)
			}
			if again, err := token.Parse(tok.Reveal()); err != nil || !tok.Digest().Matches(again) {
				t.Fatalf("%x: minted but not read: %v", number, err)
			}
		}
	}
	from := seeded()
	for range 2000 {
		check(random(t, from))
	}
	one := big.NewInt(1)
	for _, b := range []int64{2, 62} { // both sides of every power where a carry could be lost
		for n := big.NewInt(1); n.BitLen() <= 256; n = new(big.Int).Mul(n, big.NewInt(b)) {
			check(n.FillBytes(make([]byte, 32)))
			check(new(big.Int).Sub(n, one).FillBytes(make([]byte, 32)))
		}
	}
}

func TestParse_RejectsSecondSpelling(t *testing.T) {
	limit := new(big.Int).Lsh(big.NewInt(1), 256)
	for _, k := range []int64{0, 1, 2, 61, 62, 1 << 40} { // what a decoder that overflows would read as k
		over := new(big.Int).Add(limit, big.NewInt(k))
		refused(t, summed("ata_"+base62(over, 43)))
	}
	from := rand.New(seeded())
	room := new(big.Int).Sub(new(big.Int).Exp(big.NewInt(62), big.NewInt(43), nil), limit)
	for range 500 {
		part := new(big.Int).Div(new(big.Int).Mul(room, big.NewInt(from.Int64N(1<<32))), big.NewInt(1<<32))
		refused(t, summed("atl_"+base62(part.Add(part, limit), 43)))
	}
}

// TestParse_RejectsOtherLengths checks threat 16: the length is checked before anything else,
// so that a huge text costs no more than an empty one.
func TestParse_RejectsOtherLengths(t *testing.T) {
	good := golden(t).Valid[0].Token
	for n := range 2 * token.MaxLength {
		if n != token.Length {
			refused(t, strings.Repeat(good, 20)[:n])
			refused(t, strings.Repeat("0", n))
		}
	}
	refused(t, good+strings.Repeat("0", 1<<20))
	huge := "ata_" + strings.Repeat("0", 1<<24)
	if n := testing.AllocsPerRun(10, func() { _, _, _ = token.DigestOf(huge) }); n != 0 {
		t.Errorf("a huge text cost %v allocations", n)
	}
}

func TestParse_RejectsChangedByte(t *testing.T) {
	good := []byte(golden(t).Valid[0].Token)
	for i := range good {
		for c := range 256 {
			if bad := append([]byte(nil), good...); byte(c) != good[i] {
				bad[i] = byte(c)
				refused(t, string(bad))
			}
		}
	}
}

func TestParse_RejectsNonDigitsWithRightChecksum(t *testing.T) {
	good := golden(t).Valid[0].Token
	for at := 4; at < 47; at++ {
		for c := range 256 {
			if !strings.ContainsRune(alphabet, rune(c)) {
				bad := []byte(good[:47])
				bad[at] = byte(c)
				refused(t, summed(string(bad)))
			}
		}
	}
}

func TestMint_RejectsUnknownKind(t *testing.T) {
	for _, k := range []token.Kind{0, token.Access + 1, 255} {
		if tok, err := token.Mint(k, seeded()); err == nil || tok.Reveal() != "" {
			t.Errorf("kind %d was minted", uint8(k))
		}
	}
}

func TestMint_RejectsShortEntropy(t *testing.T) {
	for n := range 32 {
		tok, err := token.Mint(token.Login, strings.NewReader(strings.Repeat("marked", 6)[:n]))
		if err == nil || tok.Reveal() != "" || strings.Contains(err.Error(), "marked") {
			t.Errorf("%d bytes of entropy: %v", n, err)
		}
	}
	broken := errors.New("no entropy today")
	if _, err := token.Mint(token.Login, failing{broken}); !errors.Is(err, broken) {
		t.Errorf("the reason was lost: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestMint_Reads32Bytes(t *testing.T) {
	entropy := strings.NewReader(strings.Repeat("x", 70))
	for _, left := range []int{38, 6} {
		if _, err := token.Mint(token.Open, entropy); err != nil || entropy.Len() != left {
			t.Errorf("%d bytes are left, want %d: %v", entropy.Len(), left, err)
		}
	}
}

func TestPattern_MatchesMintedTokensOnly(t *testing.T) {
	re := regexp.MustCompile(token.Pattern)
	from := seeded()
	for k := token.Application; k <= token.Access; k++ {
		tok := mint(t, k, random(t, from)).Reveal()
		for text, want := range map[string]string{
			tok:                       tok,
			`{"token":"` + tok + `"}`: tok,
			"token=" + tok + "\n":     tok,
			"-" + tok + "-":           tok,
			tok + "0":                 "",
			"x" + tok:                 "",
			"_" + tok:                 "",
			tok + "_":                 "",
			tok[:52]:                  "",
			"ATA" + tok[3:]:           "",
			tok[:3] + "-" + tok[4:]:   "",
			tok[:20] + "-" + tok[21:]: "",
			tok[:20] + "é" + tok[22:]: "",
		} {
			if got := re.FindString(text); got != want {
				t.Errorf("in %q the pattern finds %q", text, got)
			}
		}
	}
	for c := 'a'; c <= 'z'; c++ { // no prefix but the six
		if prefix := "at" + string(c); re.MatchString(prefix+"_"+strings.Repeat("0", 49)) != strings.ContainsRune("aulsorc", c) {
			t.Errorf("the pattern is wrong about %s", prefix)
		}
	}
}

func TestTokenFormatPage_MatchesVectors(t *testing.T) {
	raw, err := os.ReadFile("../../docs/token-format.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	g := golden(t)
	known := map[string]bool{}
	for _, v := range g.Valid {
		known[v.Token], known[v.Digest], known[v.Record] = true, true, true
	}
	for _, v := range g.Hostile { // the page shows a false positive too
		known[v.Text] = true
	}
	for _, need := range []string{"\n" + token.Pattern + "\n", g.Valid[0].Token, g.Valid[0].Digest, g.Valid[0].Record, g.Valid[0].Hint} {
		if !strings.Contains(page, need) {
			t.Errorf("the page does not hold %q", need)
		}
	}
	for k := token.Application; k <= token.Access; k++ {
		if !strings.Contains(page, "| `"+k.Prefix()+"` |") {
			t.Errorf("the table does not hold %s", k.Prefix())
		}
	}
	for _, word := range regexp.MustCompile(token.Pattern+`|\bat-[0-9a-f]{32}\b|\b[0-9a-f]{64}\b`).FindAllString(page, -1) {
		if !known[word] {
			t.Errorf("%q on the page is not a golden vector", word)
		}
	}
}
