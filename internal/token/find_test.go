package token_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/token"
)

func found(text string) []string {
	var all []string
	for tok := range token.Find([]byte(text)) {
		all = append(all, tok.Reveal())
	}
	return all
}

func TestFind_YieldsWholeWords(t *testing.T) {
	g := golden(t).Valid
	a, b := g[0].Token, g[2].Token
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing in nothing":                     {"", nil},
		"a text without any":                     {"the quick brown fox_jumps", nil},
		"a text that is one":                     {a, []string{a}},
		"with a line end":                        {a + "\r\n", []string{a}},
		"in JSON":                                {`{"token":"` + a + `"}`, []string{a}},
		"in a header":                            {"Authorization: Bearer " + a, []string{a}},
		"in a shell script":                      {"export TOKEN=" + a + ";curl", []string{a}},
		"in a URL":                               {"https://x/?t=" + a + "&u=" + b + "#", []string{a, b}},
		"in order, and again":                    {b + "," + a + "\x00" + b, []string{b, a, b}},
		"between letters that are not ASCII":     {"é" + a + "é", []string{a}},
		"not after a digit":                      {"0" + a, nil},
		"not after a letter":                     {"x" + a, nil},
		"not after an underscore":                {"_" + a, nil},
		"not before a digit":                     {a + "0", nil},
		"not before a letter":                    {a + "z", nil},
		"not before an underscore":               {a + "_", nil},
		"not joined":                             {a + b, nil},
		"but beside a word that is not one":      {a + "_ " + b, []string{b}},
		"and after the prefixes of others":       {"ata_ ata_0 " + b, []string{b}},
		"not without its last digit":             {a[:52], nil},
		"not with a wrong checksum":              {a[:52] + "0 ", nil},
		"not with a number that is out of range": {summed("ata_" + strings.Repeat("z", 43)), nil},
		"an underscore in the first bytes":       {"_a_t_" + " " + a, []string{a}},
	} {
		if got := found(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s: found %q in %q", name, got, c.text)
		}
	}
}

func TestFind_StopsWithCaller(t *testing.T) {
	a := golden(t).Valid[0].Token
	n := 0
	for range token.Find([]byte(a + " " + a)) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d tokens, want 1", n)
	}
}

func TestRedact_LeavesNoSecret(t *testing.T) {
	g := golden(t).Valid
	a, b := g[0].Token, g[2].Token
	const ra, rb = "ata_[redacted]", "atl_[redacted]"
	quoted, _ := json.Marshal("\n" + a)
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                               {"", ""},
		"an innocent text":                      {"client acme holds data_and_metadata, atl_1", "client acme holds data_and_metadata, atl_1"},
		"a token":                               {a, ra},
		"two in a sentence":                     {"old " + a + ", new " + b + ".", "old " + ra + ", new " + rb + "."},
		"two joined":                            {a + b, ra + rb},
		"two joined by an underscore":           {a + "_" + b, ra + "_" + rb},
		"a token in a token's place":            {"ata_" + b, "ata_" + rb},
		"a wrong checksum":                      {a[:52] + "0", ra},
		"a digit too few":                       {a[:52], ra},
		"digits too many":                       {a + "000", ra},
		"a typing error after sixteen":          {a[:20] + "-", ra + "-"},
		"fewer than sixteen digits":             {a[:19] + "-", a[:19] + "-"},
		"glued to a word before it":             {"token" + a, "token" + ra},
		"escaped for a URL":                     {url.QueryEscape("t=" + a + "&"), "t%3D" + ra + "%26"},
		"escaped for JSON":                      {string(quoted), `"\n` + ra + `"`},
		"escaped by fmt":                        {fmt.Sprintf("%q", "\t"+a), `"\t` + ra + `"`},
		"a prefix that is none of the operator": {"atx" + a[3:], "atx" + a[3:]},
		"bytes that are not UTF-8 survive":      {"\xff" + a + "\xff", "\xff" + ra + "\xff"},
	} {
		if got := token.Redact(c.text); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
