package token_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"github.com/apptoken/operator/internal/token"
)

// leaks reports whether out holds the plaintext of v, a part that suffices, or a common encoding of
// either. See section 3.1 of the design, and threat 1.
func leaks(out string, v vector) bool {
	for _, secret := range []string{v.Token, v.Token[4:], v.Token[4:47]} {
		decimal := strings.Trim(fmt.Sprint([]byte(secret)), "[]")
		for _, form := range []string{
			secret,
			decimal,
			strings.ReplaceAll(decimal, " ", ","),
			strings.ReplaceAll(decimal, " ", ", "),
			base64.RawStdEncoding.EncodeToString([]byte(secret)),
			hex.EncodeToString([]byte(secret)),
			fmt.Sprintf("% x", secret),
			fmt.Sprintf("%# x", secret),
			fmt.Sprintf("%#v", []byte(secret)),
		} {
			if strings.Contains(strings.ToLower(out), strings.ToLower(form)) {
				return true
			}
		}
	}
	return false
}

// carriers returns values that hold a token in every way in which it may reach a printer.
func carriers(tok token.Token) map[string]any {
	type inside struct {
		Public  token.Token
		Secret  token.Secret
		private token.Token
	}
	in := inside{tok, tok.Secret, tok}
	_ = in.private
	return map[string]any{
		"a token":                tok,
		"a pointer to a token":   &tok,
		"a secret":               tok.Secret,
		"a pointer to a secret":  &tok.Secret,
		"a struct":               in,
		"a pointer to a struct":  &in,
		"a slice":                []token.Token{tok},
		"a map":                  map[string]any{"token": tok},
		"an error that wraps it": carrying{tok},
	}
}

type carrying struct{ tok token.Token }

func (c carrying) Error() string { return fmt.Sprintf("refused %v", c.tok) }

func TestSecret_NoVerbPrintsIt(t *testing.T) {
	v := golden(t).Valid[0]
	tok := mint(t, token.Application, v.number(t))
	if !leaks(fmt.Sprintf("%x", v.Token), v) || !leaks(fmt.Sprint([]byte(v.Token)), v) {
		t.Fatal("the test would not notice a leak")
	}
	for how, value := range carriers(tok) {
		for _, flags := range []string{"", "+", "#", " ", "#+", "0", "-99", ".99"} {
			for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
				format := "%" + flags + string(verb)
				if out := fmt.Sprintf(format, value); leaks(out, v) {
					t.Errorf("%s of %s gives %q", format, how, out)
				}
				if err := fmt.Errorf("deliver: "+format, value); leaks(err.Error(), v) {
					t.Errorf("an error with %s of %s says %q", format, how, err)
				}
			}
		}
		for verb, out := range map[string]string{
			"Sprint": fmt.Sprint(value), "Sprintln": fmt.Sprintln(value),
			"Join": errors.Join(fmt.Errorf("%v", value)).Error(),
		} {
			if leaks(out, v) {
				t.Errorf("%s of %s gives %q", verb, how, out)
			}
		}
	}
}

func TestSecret_NoEncoderWritesIt(t *testing.T) {
	v := golden(t).Valid[0]
	tok := mint(t, token.Application, v.number(t))
	encoders := map[string]func(*bytes.Buffer, any) error{
		"json": func(b *bytes.Buffer, x any) error { return json.NewEncoder(b).Encode(x) },
		"xml":  func(b *bytes.Buffer, x any) error { return xml.NewEncoder(b).Encode(x) },
		"gob":  func(b *bytes.Buffer, x any) error { return gob.NewEncoder(b).Encode(x) },
		"template": func(b *bytes.Buffer, x any) error {
			return template.Must(template.New("").Parse("{{.}}")).Execute(b, x)
		},
		"slog as text": func(b *bytes.Buffer, x any) error {
			slog.New(slog.NewTextHandler(b, nil)).Error("x", "value", x)
			return nil
		},
		"slog as json": func(b *bytes.Buffer, x any) error {
			slog.New(slog.NewJSONHandler(b, nil)).Error("x", "value", x)
			return nil
		},
	}
	for how, value := range carriers(tok) {
		for encoder, encode := range encoders {
			var out bytes.Buffer
			err := encode(&out, value) // an error is as good as an empty output
			if leaks(out.String(), v) || err != nil && leaks(err.Error(), v) {
				t.Errorf("%s of %s writes %q, %v", encoder, how, out.String(), err)
			}
		}
	}
	for _, method := range []string{"MarshalText", "MarshalJSON", "MarshalBinary", "GobEncode", "String", "GoString", "Format", "LogValue"} {
		for _, typ := range []reflect.Type{reflect.TypeFor[*token.Token](), reflect.TypeFor[*token.Secret]()} {
			if _, has := typ.MethodByName(method); has {
				t.Errorf("%v has a method %s", typ, method)
			}
		}
	}
}

func TestSecret_NoDecoderMakesOne(t *testing.T) {
	v := golden(t).Valid[0]
	var tok token.Token
	quoted, _ := json.Marshal(v.Token)
	for _, in := range []string{`{}`, `{"kind":1,"reveal":` + string(quoted) + `,"Secret":{"reveal":` + string(quoted) + `}}`, string(quoted)} {
		_ = json.Unmarshal([]byte(in), &tok) //nolint:errcheck,staticcheck // an error is as good as nothing, and that nothing can be decoded is the point
		if tok.Reveal() != "" || tok.Kind() != 0 {
			t.Errorf("%s made a token", in)
		}
	}
}

func TestSecret_IsNotComparable(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[token.Token](), reflect.TypeFor[token.Secret]()} {
		if typ.Comparable() {
			t.Errorf("%v == %v compiles", typ, typ)
		}
	}
}

func TestSecret_ReflectionCannotReachText(t *testing.T) {
	v := golden(t).Valid[0]
	tok := mint(t, token.Application, v.number(t))
	closures := 0
	var walk func(reflect.Value)
	walk = func(at reflect.Value) {
		switch at.Kind() {
		case reflect.Struct:
			for i := range at.NumField() {
				walk(at.Field(i))
			}
		case reflect.Func:
			closures++
			defer func() {
				if recover() == nil {
					t.Error("reflection called the closure")
				}
			}()
			at.Call(nil)
		case reflect.Uint8: // the kind
		default:
			t.Errorf("a field of kind %v could hold the text", at.Kind())
		}
	}
	walk(reflect.ValueOf(tok))
	if closures != 1 {
		t.Errorf("walked over %d closures, want 1", closures)
	}
}

func TestHint_RevealsFourRandomDigits(t *testing.T) {
	from := seeded()
	for range 100 {
		tok := mint(t, token.Session, random(t, from))
		hint, text := tok.Hint(), tok.Reveal()
		if hint != "…"+text[43:47] || len(hint) != len("…")+4 {
			t.Errorf("hint %q of %q", hint, text)
		}
	}
}

func TestToken_IndependentOfSourceBuffer(t *testing.T) {
	v := golden(t).Valid[0]
	from := []byte(v.Token)
	for tok := range token.Find(from) {
		clear(from)
		if tok.Reveal() != v.Token {
			t.Error("the token shares memory with the text")
		}
	}
}
