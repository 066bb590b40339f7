package password_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/login/password"
)

var (
	argon2Form = regexp.MustCompile(`^\$argon2id\$v=19\$m=[1-9][0-9]{0,5},t=([1-9]|1[0-6]),p=([1-9]|1[0-6])\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}$`)
	cryptForm  = regexp.MustCompile(`^\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$`)
)

// ParseHash crashes on no text, and its errors repeat none. A hash that it accepts has the promised
// form and bounds, and can be checked.
func FuzzParseHash(f *testing.F) {
	for _, v := range loadVectors(f) {
		f.Add(v.Hash)
	}
	// said holds all error texts. An error depends on the kind of mistake, and on nothing else of a
	// text.
	said := map[string]bool{}
	for _, text := range invalidHashes() {
		if _, err := password.ParseHash(text); err != nil {
			said[err.Error()] = true
		}
		if len(text) < 1<<12 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		stored, err := password.ParseHash(text)
		if err != nil {
			if !said[err.Error()] {
				t.Fatalf("%q has an error of its own: %v", text, err)
			}
			if stored.Fingerprint() != "" {
				t.Fatalf("%q is refused and kept", text)
			}
			return
		}
		bare := strings.TrimRight(text, "\r\n")
		if !argon2Form.MatchString(bare) && !cryptForm.MatchString(bare) {
			t.Fatalf("%q is accepted against the form", text)
		}
		if stored.IsPlain() || stored.Memory() < 8<<10 || stored.Memory() > password.MaxMemory || len(stored.Fingerprint()) != 32 {
			t.Fatalf("%q is out of bounds: %d bytes", text, stored.Memory())
		}
		cheap := stored.Memory() <= 256<<10 && (bare[1] == 'a' || strings.HasPrefix(bare[3:], "$04$"))
		if cheap && checkMatches(t, stored, parseSecret(t, "not a chosen password")) {
			t.Fatalf("%q matches a password that was not chosen", text)
		}
	})
}
