package password_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/login/password"
)

// Parts of valid hashes, to be combined into invalid hashes.
const (
	salt   = "c2FsdHNhbHRzYWx0c2FsdA"
	tag    = "hrv8JyHFn7EQQ//q/FZCAg"
	crypt  = "$2y$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG"
	argon2 = "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + tag
)

// hashWithCosts returns an argon2id hash with these costs.
func hashWithCosts(costs string) string { return "$argon2id$v=19$" + costs + "$" + salt + "$" + tag }

func hashWithSaltAndTag(salt, tag string) string {
	return "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + tag
}

// invalidHashes returns texts that ParseHash must reject.
func invalidHashes() map[string]string {
	return map[string]string{
		"nothing":                       "",
		"newlines":                      "\n\r\n",
		"one dollar":                    "$",
		"many dollars":                  strings.Repeat("$", 60),
		"a password":                    "hunter2",
		"a name before bcrypt":          "alice:" + crypt,
		"a name before argon2id":        "alice:" + argon2,
		"an empty name":                 ":" + crypt,
		"a space before":                " " + argon2,
		"a space after":                 argon2 + " ",
		"two hashes":                    crypt + "\n" + crypt,
		"a megabyte":                    "$argon2id$" + strings.Repeat("A", 1<<20),
		"a megabyte of salt":            hashWithSaltAndTag(strings.Repeat("A", 1<<20), tag),
		"a megabyte of dollars":         strings.Repeat("$", 1<<20),
		"NUL":                           argon2 + "\x00",
		"NUL in the salt":               strings.Replace(argon2, "c2Fs", "c2F\x00", 1),
		"NUL in bcrypt":                 crypt[:20] + "\x00" + crypt[21:],
		"unicode digits":                hashWithCosts("m=６４,t=1,p=1"),
		"unicode in bcrypt":             crypt[:20] + "é" + crypt[22:],
		"not UTF-8":                     crypt[:20] + "\xff" + crypt[21:],
		"argon2i":                       strings.Replace(argon2, "argon2id", "argon2i", 1),
		"argon2d":                       strings.Replace(argon2, "argon2id", "argon2d", 1),
		"in capitals":                   strings.ToUpper(argon2),
		"md5":                           "$1$abcdefgh$0123456789012345678901",
		"sha512crypt":                   "$6$abcdefgh$" + strings.Repeat("a", 86),
		"apr1":                          "$apr1$abcdefgh$0123456789012345678901",
		"LDAP":                          "{SSHA}" + strings.Repeat("a", 40),
		"scrypt":                        "$scrypt$ln=16,r=8,p=1$" + salt + "$" + tag,
		"no version":                    strings.Replace(argon2, "v=19$", "", 1),
		"the version before":            strings.Replace(argon2, "v=19", "v=16", 1),
		"a version to come":             strings.Replace(argon2, "v=19", "v=20", 1),
		"the version with a zero":       strings.Replace(argon2, "v=19", "v=019", 1),
		"no costs":                      hashWithCosts(""),
		"no t":                          hashWithCosts("m=64,p=1"),
		"no names":                      hashWithCosts("64,1,1"),
		"another order":                 hashWithCosts("t=1,m=64,p=1"),
		"one too many":                  hashWithCosts("m=64,t=1,p=1,p=1"),
		"a keyid":                       hashWithCosts("m=64,t=1,p=1,keyid=AAAA"),
		"m that overflows":              hashWithCosts("m=18446744073709551680,t=1,p=1"),
		"m that overflows 32 bits":      hashWithCosts("m=4294967360,t=1,p=1"),
		"m that is the largest":         hashWithCosts("m=4294967295,t=1,p=1"),
		"m one beyond":                  hashWithCosts("m=262145,t=1,p=1"),
		"negative m":                    hashWithCosts("m=-64,t=1,p=1"),
		"m with a sign":                 hashWithCosts("m=+64,t=1,p=1"),
		"m with a leading zero":         hashWithCosts("m=064,t=1,p=1"),
		"m in hex":                      hashWithCosts("m=0x40,t=1,p=1"),
		"m with an underscore":          hashWithCosts("m=6_4,t=1,p=1"),
		"m with a fraction":             hashWithCosts("m=64.0,t=1,p=1"),
		"m with a space":                hashWithCosts("m= 64,t=1,p=1"),
		"m that is empty":               hashWithCosts("m=,t=1,p=1"),
		"m of nothing":                  hashWithCosts("m=0,t=1,p=1"),
		"m one below":                   hashWithCosts("m=7,t=1,p=1"),
		"m below that of two lanes":     hashWithCosts("m=15,t=1,p=2"),
		"t of nothing":                  hashWithCosts("m=64,t=0,p=1"),
		"t one beyond":                  hashWithCosts("m=64,t=17,p=1"),
		"t that is the largest":         hashWithCosts("m=64,t=4294967295,p=1"),
		"p of nothing":                  hashWithCosts("m=64,t=1,p=0"),
		"p one beyond":                  hashWithCosts("m=1024,t=1,p=17"),
		"p that wraps to one":           hashWithCosts("m=64,t=1,p=257"),
		"m times t one pass beyond":     hashWithCosts("m=262144,t=5,p=1"),
		"m times t one KiB beyond":      hashWithCosts("m=65537,t=16,p=1"),
		"no salt":                       hashWithSaltAndTag("", tag),
		"a salt one too short":          hashWithSaltAndTag("c2FsdHNhbA", tag),
		"a salt one too long":           hashWithSaltAndTag(strings.Repeat("AAAA", 21)+"AAA", tag),
		"a hash one too short":          hashWithSaltAndTag(salt, strings.Repeat("A", 20)),
		"a hash one too long":           hashWithSaltAndTag(salt, strings.Repeat("AAAA", 21)+"AAA"),
		"no hash":                       strings.TrimSuffix(argon2, "$"+tag),
		"an empty hash":                 hashWithSaltAndTag(salt, ""),
		"a dollar at the end":           argon2 + "$",
		"a part too many":               argon2 + "$" + tag,
		"padding":                       hashWithSaltAndTag(salt+"==", tag),
		"padding at the end":            hashWithSaltAndTag(salt, tag+"=="),
		"base64 of URLs":                hashWithSaltAndTag(salt, strings.ReplaceAll(tag, "/", "_")),
		"a base64 digit too many":       hashWithSaltAndTag(salt, tag[:len(tag)-1]),
		"spare bits in the salt":        hashWithSaltAndTag(salt[:len(salt)-1]+"B", tag),
		"spare bits in the hash":        hashWithSaltAndTag(salt, tag[:len(tag)-1]+"h"),
		"a newline in the salt":         hashWithSaltAndTag(salt[:4]+"\n"+salt[4:], tag),
		"bcrypt without its kind":       strings.Replace(crypt, "$2y$", "$2$", 1),
		"the broken bcrypt":             strings.Replace(crypt, "$2y$", "$2x$", 1),
		"bcrypt of the future":          strings.Replace(crypt, "$2y$", "$3y$", 1),
		"bcrypt one too short":          crypt[:59],
		"bcrypt one too long":           crypt + "a",
		"bcrypt's prefix alone":         "$2y$",
		"bcrypt without a hash":         crypt[:29],
		"cost one below":                strings.Replace(crypt, "$04$", "$03$", 1),
		"cost one beyond":               strings.Replace(crypt, "$04$", "$15$", 1),
		"cost that is the largest":      strings.Replace(crypt, "$04$", "$31$", 1),
		"cost of nothing":               strings.Replace(crypt, "$04$", "$00$", 1),
		"negative cost":                 strings.Replace(crypt, "$04$", "$-4$", 1),
		"cost with a sign":              strings.Replace(crypt, "$04$", "$+4$", 1),
		"cost with a space":             strings.Replace(crypt, "$04$", "$ 4$", 1),
		"cost of one digit":             strings.Replace(crypt, "$04$", "$4$", 1) + "a",
		"spare bits in bcrypt's salt":   crypt[:28] + "v" + crypt[29:],
		"spare bits in bcrypt's hash":   crypt[:59] + "H",
		"a newline in bcrypt":           crypt[:20] + "\n" + crypt[21:],
		"a digit of other base64":       crypt[:20] + "+" + crypt[21:],
		"a dollar in bcrypt's salt":     crypt[:20] + "$" + crypt[21:],
		"bcrypt without the last part":  crypt[:6] + "a" + crypt[7:],
		"argon2id that claims a bcrypt": "$argon2id" + crypt,
	}
}

func TestParseHash_RejectsInvalidHashes(t *testing.T) {
	for how, text := range invalidHashes() {
		stored, err := password.ParseHash(text)
		if err == nil || stored.Fingerprint() != "" {
			t.Errorf("%s is read", how)
			continue
		}
		if said := err.Error(); !strings.HasPrefix(said, "password hash ") || len(said) > 200 || len(text) > 8 && strings.Contains(said, text) {
			t.Errorf("%s: the error says %q", how, said)
		}
	}
}

func TestParseHash_ErrorsNameTheRemedy(t *testing.T) {
	for text, want := range map[string]string{
		"alice:" + crypt:                        "keep only what follows the colon",
		"$6$abc$def":                            "$argon2id$, $2a$, $2b$ or $2y$",
		hashWithCosts("m=1048576,t=1,p=1"):      "m=, and a whole number from 8 to 262144",
		hashWithCosts("m=64,t=99,p=1"):          "t=, and a whole number from 1 to 16",
		hashWithCosts("m=64,t=1,p=99"):          "p=, and a whole number from 1 to 16",
		hashWithCosts("m=64,t=1,p=16"):          "more memory or fewer lanes",
		hashWithCosts("m=262144,t=16,p=1"):      "m times t at most",
		hashWithSaltAndTag("c2FsdA", tag):       "salt that is not of 8 to 64 bytes",
		hashWithSaltAndTag(salt, tag+"=="):      "hash that is not standard base64 without padding",
		crypt[:4] + "31" + crypt[6:]:            "from 04 to 14",
		crypt[:40]:                              "60 characters",
		"$argon2id$v=16$" + argon2[15:]:         "v=19",
		"$argon2id$" + strings.Repeat("A", 600): "512 bytes",
	} {
		if _, err := password.ParseHash(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v does not say %q", text, err, want)
		}
	}
}

func TestParseHash_AcceptsBounds(t *testing.T) {
	for how, c := range map[string]struct {
		text   string
		memory int64
	}{
		"least memory":             {hashWithCosts("m=8,t=1,p=1"), 8 << 10},
		"least memory of 16 lanes": {hashWithCosts("m=128,t=16,p=16"), 128 << 10},
		"most memory":              {hashWithCosts("m=262144,t=4,p=4"), password.MaxMemory},
		"most passes":              {hashWithCosts("m=65536,t=16,p=1"), 64 << 20},
		"shortest salt":            {hashWithSaltAndTag("c2FsdHNhbHQ", tag), 64 << 10},
		"longest salt":             {hashWithSaltAndTag(strings.Repeat("AAAA", 21)+"AA", tag), 64 << 10},
		"shortest hash":            {hashWithSaltAndTag(salt, strings.Repeat("A", 22)), 64 << 10},
		"longest hash":             {hashWithSaltAndTag(salt, strings.Repeat("AAAA", 21)+"AA"), 64 << 10},
		"least cost":               {crypt, 8 << 10},
		"most cost":                {strings.Replace(crypt, "$04$", "$14$", 1), 8 << 10},
	} {
		if stored, err := password.ParseHash(c.text); err != nil || stored.Memory() != c.memory {
			t.Errorf("%s: %v, %d bytes, want %d", how, err, stored.Memory(), c.memory)
		}
	}
}

func TestParseHash_IgnoresFinalNewlines(t *testing.T) {
	for _, text := range []string{argon2, crypt} {
		want := hash(t, text).Fingerprint()
		for _, end := range []string{"\n", "\r\n", "\n\n"} { // htpasswd -n prints two
			if got := hash(t, text+end).Fingerprint(); got != want {
				t.Errorf("%q after a hash changes its fingerprint", end)
			}
		}
	}
}

func TestFingerprint_ChangesWithHashOnly(t *testing.T) {
	seen := map[string]string{}
	for _, v := range loadVectors(t) {
		got := hash(t, v.Hash).Fingerprint()
		sum := sha256.Sum256([]byte("apptoken password fingerprint\x00" + v.Hash))
		if want := hex.EncodeToString(sum[:])[:32]; got != want || got != hash(t, v.Hash).Fingerprint() {
			t.Errorf("%s: fingerprint %s, want %s", v.Made, got, want)
		}
		if other, taken := seen[got]; taken {
			t.Errorf("%s and %s have one fingerprint", v.Made, other)
		}
		seen[got] = v.Made
	}
	// Stored fingerprints must stay valid.
	if got := hash(t, argon2).Fingerprint(); got != "bf5d667ca89ee5d0dc028322f20e2d2f" {
		t.Errorf("the fingerprint of a known hash has become %s", got)
	}
	if (password.Stored{}).Fingerprint() != "" || (password.Stored{}).IsPlain() || (password.Stored{}).Memory() != 19<<20 {
		t.Error("the zero Stored is something")
	}
}
