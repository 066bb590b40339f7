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

// secretMarker is part of every secret in these tests.
const secretMarker = "Zx7marked9qW"

// containsMarker reports whether out holds the mark in a common encoding.
func containsMarker(out string) bool {
	decimal := strings.Trim(fmt.Sprint([]byte(secretMarker)), "[]")
	for _, form := range []string{
		secretMarker, decimal, strings.ReplaceAll(decimal, " ", ","), hex.EncodeToString([]byte(secretMarker)), fmt.Sprintf("% x", secretMarker),
		fmt.Sprintf("%#v", []byte(secretMarker)), base64.RawStdEncoding.EncodeToString([]byte(secretMarker)),
	} {
		if strings.Contains(strings.ToLower(out), strings.ToLower(form)) {
			return true
		}
	}
	return false
}

// markedSecrets returns values that hold the mark, in the forms in which code may print them.
func markedSecrets(t *testing.T) map[string]any {
	secret := parseSecret(t, secretMarker)
	filed := plain(t, secretMarker)
	argon := hash(t, "$argon2id$v=19$m=64,t=1,p=1$"+secretMarker+"$"+strings.Repeat("A", 22))
	crypt := hash(t, "$2y$04$abcdefghijklmnopqrstuu"+secretMarker+strings.Repeat("u", 31-len(secretMarker)))
	type inside struct {
		Secret  password.Secret
		Stored  []password.Stored
		private password.Secret
	}
	in := inside{secret, []password.Stored{filed, argon, crypt}, secret}
	_ = in.private
	return map[string]any{
		"a secret": secret, "a pointer to a secret": &secret, "a taken secret": password.NewSecret(secretMarker + "\x00"),
		"a plain one": filed, "argon2id": argon, "bcrypt": crypt, "a pointer to a stored one": &argon,
		"a struct": in, "a pointer to a struct": &in, "a map": map[string]any{"password": secret, "hash": crypt},
	}
}

func TestSecret_NoVerbPrintsIt(t *testing.T) {
	if !containsMarker(fmt.Sprintf("%x", secretMarker)) || !containsMarker(fmt.Sprint([]byte(secretMarker))) || !containsMarker(fmt.Sprintf("%+v", struct{ s string }{secretMarker})) {
		t.Fatal("the test would not notice a leak")
	}
	for how, value := range markedSecrets(t) {
		for _, flags := range []string{"", "+", "#", " ", "#+", "0", "-99"} {
			for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
				format := "%" + flags + string(verb)
				if out := fmt.Sprintf(format, value); containsMarker(out) {
					t.Errorf("%s of %s gives %q", format, how, out)
				}
				if err := fmt.Errorf("check: "+format, value); containsMarker(err.Error()) {
					t.Errorf("an error with %s of %s says %q", format, how, err)
				}
			}
		}
	}
}

func TestSecret_NoEncoderWritesIt(t *testing.T) {
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
	for how, value := range markedSecrets(t) {
		for encoder, encode := range encoders {
			var out bytes.Buffer
			err := encode(&out, value) // an error is as good as an empty output
			if containsMarker(out.String()) || err != nil && containsMarker(err.Error()) {
				t.Errorf("%s of %s writes %q, %v", encoder, how, out.String(), err)
			}
		}
	}
}

func TestSecret_HasNoAccessorAndNoEquality(t *testing.T) {
	for typ, methods := range map[reflect.Type]int{
		reflect.TypeFor[password.Secret](): 0,
		reflect.TypeFor[password.Stored](): 3, // Plain, Memory, Fingerprint
	} {
		if typ.Comparable() {
			t.Errorf("%v == %v compiles", typ, typ)
		}
		if got := reflect.PointerTo(typ).NumMethod(); got != methods {
			t.Errorf("%v has %d methods, want %d", typ, got, methods)
		}
		for field := range typ.Fields() {
			if field.Type.Kind() != reflect.Func || field.IsExported() {
				t.Errorf("%v.%s could be read by reflection", typ, field.Name)
			}
		}
	}
}

func TestSecret_NoErrorRepeatsIt(t *testing.T) {
	for how, text := range invalidHashes() {
		for _, read := range []func(string) (password.Stored, error){password.ParseHash, password.ParsePlain} {
			if _, err := read(text + secretMarker); err != nil && containsMarker(err.Error()) {
				t.Errorf("%s with the mark after it: %v", how, err)
			}
			if _, err := read(secretMarker + text); err != nil && containsMarker(err.Error()) {
				t.Errorf("%s with the mark before it: %v", how, err)
			}
		}
	}
	for _, v := range loadVectors(t) { // the mark in place of each part of a valid hash
		for _, between := range []string{"$", ",", "="} {
			parts := strings.Split(v.Hash, between)
			for i := range parts {
				broken := append(append(append([]string{}, parts[:i]...), secretMarker), parts[i+1:]...)
				if _, err := password.ParseHash(strings.Join(broken, between)); err != nil && containsMarker(err.Error()) {
					t.Errorf("part %d: %v", i, err)
				}
			}
		}
	}
	if _, err := password.ParseSecret(secretMarker + "\x00"); err == nil || containsMarker(err.Error()) {
		t.Errorf("Presented says %v", err)
	}
}
