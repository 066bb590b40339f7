package password_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/login/password"
)

// marked is part of every secret in these tests.
const marked = "Zx7marked9qW"

// leaks reports whether out holds the mark in a common encoding.
func leaks(out string) bool {
	decimal := strings.Trim(fmt.Sprint([]byte(marked)), "[]")
	for _, form := range []string{
		marked, decimal, strings.ReplaceAll(decimal, " ", ","), hex.EncodeToString([]byte(marked)), fmt.Sprintf("% x", marked),
		fmt.Sprintf("%#v", []byte(marked)), base64.RawStdEncoding.EncodeToString([]byte(marked)),
	} {
		if strings.Contains(strings.ToLower(out), strings.ToLower(form)) {
			return true
		}
	}
	return false
}

// secrets returns values that hold the mark, in the forms in which code may print them.
func secrets(t *testing.T) map[string]any {
	secret := presented(t, marked)
	filed := plain(t, marked)
	argon := hash(t, "$argon2id$v=19$m=64,t=1,p=1$"+marked+"$"+strings.Repeat("A", 22))
	crypt := hash(t, "$2y$04$abcdefghijklmnopqrstuu"+marked+strings.Repeat("u", 31-len(marked)))
	type inside struct {
		Secret  password.Secret
		Stored  []password.Stored
		private password.Secret
	}
	in := inside{secret, []password.Stored{filed, argon, crypt}, secret}
	_ = in.private
	return map[string]any{
		"a secret": secret, "a pointer to a secret": &secret, "a taken secret": password.Take(marked + "\x00"),
		"a plain one": filed, "argon2id": argon, "bcrypt": crypt, "a pointer to a stored one": &argon,
		"a struct": in, "a pointer to a struct": &in, "a map": map[string]any{"password": secret, "hash": crypt},
	}
}

func TestNoVerbPrintsASecret(t *testing.T) {
	if !leaks(fmt.Sprintf("%x", marked)) || !leaks(fmt.Sprint([]byte(marked))) || !leaks(fmt.Sprintf("%+v", struct{ s string }{marked})) {
		t.Fatal("the test would not notice a leak")
	}
	for how, value := range secrets(t) {
		for _, flags := range []string{"", "+", "#", " ", "#+", "0", "-99"} {
			for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
				format := "%" + flags + string(verb)
				if out := fmt.Sprintf(format, value); leaks(out) {
					t.Errorf("%s of %s gives %q", format, how, out)
				}
				if err := fmt.Errorf("check: "+format, value); leaks(err.Error()) {
					t.Errorf("an error with %s of %s says %q", format, how, err)
				}
			}
		}
	}
}

func TestNoEncoderWritesASecret(t *testing.T) {
	encoders := map[string]func(*bytes.Buffer, any) error{
		"json": func(b *bytes.Buffer, x any) error { return json.NewEncoder(b).Encode(x) },
		"xml":  func(b *bytes.Buffer, x any) error { return xml.NewEncoder(b).Encode(x) },
		"gob":  func(b *bytes.Buffer, x any) error { return gob.NewEncoder(b).Encode(x) },
		"slog as text": func(b *bytes.Buffer, x any) error {
			slog.New(slog.NewTextHandler(b, nil)).Error("x", "value", x)
			return nil
		},
		"slog as json": func(b *bytes.Buffer, x any) error {
			slog.New(slog.NewJSONHandler(b, nil)).Error("x", "value", x)
			return nil
		},
	}
	for how, value := range secrets(t) {
		for encoder, encode := range encoders {
			var out bytes.Buffer
			err := encode(&out, value) // an error is as good as an empty output
			if leaks(out.String()) || err != nil && leaks(err.Error()) {
				t.Errorf("%s of %s writes %q, %v", encoder, how, out.String(), err)
			}
		}
	}
}

func TestSecretsHaveNoDoorAndCannotBeCompared(t *testing.T) {
	for typ, doors := range map[reflect.Type]int{
		reflect.TypeFor[password.Secret](): 0,
		reflect.TypeFor[password.Stored](): 3, // Plain, Memory, Fingerprint
	} {
		if typ.Comparable() {
			t.Errorf("%v == %v compiles", typ, typ)
		}
		if got := reflect.PointerTo(typ).NumMethod(); got != doors {
			t.Errorf("%v has %d methods, want %d", typ, got, doors)
		}
		for field := range typ.Fields() {
			if field.Type.Kind() != reflect.Func || field.IsExported() {
				t.Errorf("%v.%s could be read by reflection", typ, field.Name)
			}
		}
	}
}

func TestNoErrorRepeatsWhatItIsAbout(t *testing.T) {
	for how, text := range hostile() {
		for _, read := range []func(string) (password.Stored, error){password.ReadHash, password.ReadPlain} {
			if _, err := read(text + marked); err != nil && leaks(err.Error()) {
				t.Errorf("%s with the mark after it: %v", how, err)
			}
			if _, err := read(marked + text); err != nil && leaks(err.Error()) {
				t.Errorf("%s with the mark before it: %v", how, err)
			}
		}
	}
	for _, v := range vectors(t) { // the mark in place of each part of a valid hash
		for _, between := range []string{"$", ",", "="} {
			parts := strings.Split(v.Hash, between)
			for i := range parts {
				broken := append(append(append([]string{}, parts[:i]...), marked), parts[i+1:]...)
				if _, err := password.ReadHash(strings.Join(broken, between)); err != nil && leaks(err.Error()) {
					t.Errorf("part %d: %v", i, err)
				}
			}
		}
	}
	if _, err := password.Presented(marked + "\x00"); err == nil || leaks(err.Error()) {
		t.Errorf("Presented says %v", err)
	}
}
