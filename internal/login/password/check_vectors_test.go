package password_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/apptoken/operator/internal/login/password"
)

type vector struct {
	Made, Password, Hash string
	Memory               int64
}

// isSlow reports whether one check of the vector is enough for a test.
func (v vector) isSlow() bool {
	return v.Memory > 1<<20 || strings.Contains(v.Hash, "p=16") || strings.HasPrefix(v.Hash, "$2y$10$")
}

// loadVectors returns hashes that other programs made of passwords; testdata/vectors.json names
// them.
func loadVectors(tb testing.TB) []vector {
	tb.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		tb.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(raw, &file); err != nil {
		tb.Fatal(err)
	}
	if len(file.Vectors) < 15 {
		tb.Fatalf("%d vectors", len(file.Vectors))
	}
	return file.Vectors
}

func hash(tb testing.TB, text string) password.Stored {
	tb.Helper()
	stored, err := password.ParseHash(text)
	if err != nil {
		tb.Fatal(err)
	}
	return stored
}

func plain(tb testing.TB, text string) password.Stored {
	tb.Helper()
	stored, err := password.ParsePlain(text)
	if err != nil {
		tb.Fatal(err)
	}
	return stored
}

func parseSecret(tb testing.TB, text string) password.Secret {
	tb.Helper()
	secret, err := password.ParseSecret(text)
	if err != nil {
		tb.Fatal(err)
	}
	return secret
}

// checkMatches runs a check on an idle Checker.
func checkMatches(tb testing.TB, stored password.Stored, secret password.Secret) bool {
	tb.Helper()
	ok, err := password.NewChecker(password.Options{}).Check(tb.Context(), password.Check{Stored: stored, Presented: secret})
	if err != nil {
		tb.Fatal(err)
	}
	return ok
}

func TestCheck_VectorsMatchTheirPasswordOnly(t *testing.T) {
	for _, v := range loadVectors(t) {
		stored := hash(t, v.Hash)
		if !checkMatches(t, stored, parseSecret(t, v.Password)) {
			t.Errorf("%s: the password does not match", v.Made)
		}
		for _, wrong := range []string{v.Password + "x", v.Password + " ", v.Password + "\n", "x" + v.Password, strings.ToUpper(v.Password), v.Hash, v.Password[1:]} {
			if wrong == "" || v.isSlow() && wrong != v.Password+"x" {
				continue
			}
			if checkMatches(t, stored, parseSecret(t, wrong)) {
				t.Errorf("%s: %q matches", v.Made, wrong)
			}
		}
		if stored.IsPlain() || stored.Memory() != v.Memory {
			t.Errorf("%s: plain %v, %d bytes of memory, want %d", v.Made, stored.IsPlain(), stored.Memory(), v.Memory)
		}
	}
}

func TestCheck_BcryptRejectsTruncatedPassword(t *testing.T) {
	short, long := strings.Repeat("y", 72), strings.Repeat("y", 73)
	for _, v := range loadVectors(t) {
		if v.Password != short {
			continue
		}
		if !checkMatches(t, hash(t, v.Hash), parseSecret(t, short)) || checkMatches(t, hash(t, v.Hash), parseSecret(t, long)) {
			t.Errorf("%s: 72 bytes must match and 73 must not", v.Made)
		}
	}
}

func TestCheck_ChangedHashDoesNotMatch(t *testing.T) {
	for _, v := range loadVectors(t) {
		if v.Memory > 64<<10 || strings.HasPrefix(v.Hash, "$2") && !strings.HasPrefix(v.Hash, "$2b$04$") {
			continue // like the others, but slower
		}
		for at := range v.Hash {
			changed := []byte(v.Hash)
			changed[at] ^= 1
			if bytes.HasPrefix(changed, []byte("$2")) && (at == 2 || at == 4) {
				continue // $2a$, $2b$ and $2y$ are the same; a cost of 14 is slow
			}
			if stored, err := password.ParseHash(string(changed)); err == nil && stored.Memory() <= 1<<20 && checkMatches(t, stored, parseSecret(t, v.Password)) {
				t.Errorf("%s: matches with another byte %d", v.Made, at)
			}
		}
	}
}

func TestCheck_PlainMatchesComposedForm(t *testing.T) {
	for how, c := range map[string]struct {
		stored, parseSecret string
		want                bool
	}{
		"the same":                            {"hunter2", "hunter2", true},
		"a newline at the end is the file's":  {"hunter2\n", "hunter2", true},
		"only one newline is":                 {"hunter2\n\n", "hunter2", false},
		"a second newline is the password's":  {"hunter2\n\n", "hunter2\n", true},
		"a line end of Windows is the file's": {"hunter2\r\n", "hunter2", true},
		"only one line end of Windows is":     {"hunter2\r\n\r\n", "hunter2", false},
		"a carriage return is the password's": {"hunter2\r", "hunter2", false},
		"spaces count":                        {" hunter2 ", "hunter2", false},
		"spaces are kept":                     {" hunter2 ", " hunter2 ", true},
		"case counts":                         {"hunter2", "Hunter2", false},
		"a beginning is not enough":           {"hunter2", "hunter", false},
		"decomposed letters are presented":    {"p\u00e4ss", "pa\u0308ss", true},
		"decomposed letters are stored":       {"pa\u0308ss", "p\u00e4ss", true},
		"a letter without its accent is not":  {"p\u00e4ss", "pass", false},
		"a ligature is not its letters":       {"\ufb01sh", "fish", false},
		"a mark in the middle counts":         {"hunter\ufeff2", "hunter2", false},
		"what looks like a hash is not one":   {"$2y$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG", "correct horse battery staple", false},
		"the longest":                         {strings.Repeat("x", password.MaxLength), strings.Repeat("x", password.MaxLength), true},
	} {
		stored := plain(t, c.stored)
		if got := checkMatches(t, stored, parseSecret(t, c.parseSecret)); got != c.want {
			t.Errorf("%s: %v, want %v", how, got, c.want)
		}
		if !stored.IsPlain() || stored.Fingerprint() != "" || stored.Memory() != 19<<20 {
			t.Errorf("%s: plain %v, fingerprint %q, memory %d", how, stored.IsPlain(), stored.Fingerprint(), stored.Memory())
		}
	}
	for how, text := range map[string]string{
		"nothing": "", "a newline alone": "\n", "NUL": "a\x00b", "not UTF-8": "a\xff", "one byte too long": strings.Repeat("x", password.MaxLength+1),
		"a line end of Windows alone": "\r\n", "a byte order mark before": "\ufeffhunter2", "a byte order mark after": "hunter2\ufeff",
		"a byte order mark before a line end": "hunter2\ufeff\r\n", "a byte order mark alone": "\ufeff", "UTF-16": "\xff\xfeh\x00i\x00",
	} {
		if stored, err := password.ParsePlain(text); err == nil || stored.IsPlain() {
			t.Errorf("%s is a plain password", how)
		}
	}
}

func TestCheck_MalformedPasswordMatchesNothing(t *testing.T) {
	v := loadVectors(t)[2]
	all := map[string]password.Stored{"a hash": hash(t, v.Hash), "a plain one": plain(t, "hunter2"), "the zero one": {}}
	for how, text := range map[string]string{
		"nothing": "", "NUL": v.Password + "\x00", "NUL alone": "\x00", "not UTF-8": "\xff", "too long": strings.Repeat("x", 1025), "far too long": strings.Repeat("x", 10<<20),
	} {
		if secret, err := password.ParseSecret(text); err != password.ErrMalformed { //nolint:errorlint // a constant, not wrapped
			t.Errorf("%s gives %v", how, err)
		} else if _, err := password.Hash(secret, strings.NewReader(strings.Repeat("s", 16))); !errors.Is(err, password.ErrMalformed) {
			t.Errorf("the hash of %s gives %v", how, err)
		}
		for what, stored := range all {
			if checkMatches(t, stored, password.NewSecret(text)) {
				t.Errorf("%s matches %s", how, what)
			}
		}
	}
	for what, stored := range all {
		if checkMatches(t, stored, password.Secret{}) {
			t.Errorf("the zero Secret matches %s", what)
		}
	}
	if checkMatches(t, password.Stored{}, parseSecret(t, "x")) {
		t.Error("a password matches the zero Stored")
	}
}

func TestHash_ParseHashAcceptsIt(t *testing.T) {
	text, err := password.Hash(parseSecret(t, "correct horse battery staple"), strings.NewReader("0123456789abcdef"))
	if want := loadVectors(t)[1].Hash; err != nil || text != want {
		t.Errorf("Hash gives %q, %v, want what the reference implementation makes: %q", text, err, want)
	}
	if _, err := password.Hash(parseSecret(t, "x"), strings.NewReader("too short")); err == nil {
		t.Error("a salt is made of too little entropy")
	}
	broken := errors.New("no entropy")
	if _, err := password.Hash(parseSecret(t, "x"), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("without entropy: %v", err)
	}
}

func TestCheck_TakesStatedMemory(t *testing.T) {
	all := map[string]password.Stored{"plain": plain(t, "x"), "zero": {}}
	for _, v := range loadVectors(t) {
		all[v.Made] = hash(t, v.Hash)
	}
	secret := parseSecret(t, "y")
	for how, stored := range all {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		checkMatches(t, stored, secret)
		runtime.ReadMemStats(&after)
		const other = 256 << 10 // the goroutines of the lanes, the Checker, and other allocations
		if took := int64(after.TotalAlloc - before.TotalAlloc); took > stored.Memory()+other || took < stored.Memory()/2 {
			t.Errorf("%s took %d bytes and said %d", how, took, stored.Memory())
		}
		if stored.Memory() > password.MaxMemory {
			t.Errorf("%s says %d bytes", how, stored.Memory())
		}
	}
}
