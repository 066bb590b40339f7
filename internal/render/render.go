package render

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"github.com/apptoken/operator/internal/token"
)

// MaxSize is the maximum size of the rendered data of one Secret, in bytes.
const MaxSize = 256 << 10

// ErrNoToken reports that no key holds the token in a form that Find recognises.
var ErrNoToken = errors.New("no key holds the token, plain or in base64: add one such as token: '{{ .Token }}'")

// Values are the values that a template sees, besides the token.
type Values struct {
	Hint        string
	Client      string
	Name        string
	Namespace   string
	Roles       []string
	Permissions []string
	Version     int64
	IssuedAt    string // RFC 3339, in UTC
	ExpiresAt   string // RFC 3339, in UTC; empty where the token does not expire
}

// scope returns the values by the names that a template uses.
func (v Values) scope(tok token.Token) map[string]any {
	return map[string]any{
		"Token": tok.Reveal(), "Hint": v.Hint, "Client": v.Client, "Name": v.Name, "Namespace": v.Namespace,
		"Roles": v.Roles, "Permissions": v.Permissions, "Version": v.Version, "IssuedAt": v.IssuedAt, "ExpiresAt": v.ExpiresAt,
	}
}

// Templates are the compiled templates of one Secret. Compile has checked that they are harmless.
type Templates struct {
	byKey map[string]*template.Template
}

// Compile parses the templates, keyed by the key of the Secret. An error names the key and what to
// change.
func Compile(texts map[string]string) (Templates, error) {
	ts := Templates{byKey: make(map[string]*template.Template, len(texts))}
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		t, err := template.New(key).Option("missingkey=error").Funcs(functions).Parse(texts[key])
		if err != nil {
			return Templates{}, fmt.Errorf("the template of key %q cannot be read: %s; templates may call: %s", key, trimTemplatePrefix(err, key), strings.Join(Functions(), ", "))
		}
		if err := checkTemplate(t); err != nil {
			return Templates{}, fmt.Errorf("the template of key %q %w", key, err)
		}
		ts.byKey[key] = t
	}
	return ts, nil
}

// Render executes the templates. Its errors never hold a value, so that none can hold the token.
func (ts Templates) Render(v Values, tok token.Token) (map[string][]byte, error) {
	scope := v.scope(tok)
	room := MaxSize
	data := make(map[string][]byte, len(ts.byKey))
	for _, key := range slices.Sorted(maps.Keys(ts.byKey)) {
		out := boundedBuffer{room: room}
		if err := ts.byKey[key].Execute(&out, scope); err != nil {
			if errors.Is(err, errTooBig) {
				return nil, fmt.Errorf("the templates make more than %d bytes", MaxSize)
			}
			message := token.Redact(trimTemplatePrefix(err, key))
			if strings.Contains(message, "map has no entry for key") {
				message += "; templates may use: ." + strings.Join(slices.Sorted(maps.Keys(scope)), ", .")
			}
			return nil, fmt.Errorf("the template of key %q fails: %s", key, message)
		}
		data[key] = out.Bytes()
		room -= out.Len()
	}
	if _, ok := Find(data, tok.Digest()); !ok {
		return nil, ErrNoToken
	}
	return data, nil
}

// trimTemplatePrefix removes the prefix of text/template from an error.
func trimTemplatePrefix(err error, key string) string {
	return strings.TrimPrefix(err.Error(), "template: "+key+":")
}

var errTooBig = errors.New("too big")

// boundedBuffer is a buffer that rejects writes beyond its room.
type boundedBuffer struct {
	bytes.Buffer
	room int
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.room {
		return 0, errTooBig
	}
	return b.Buffer.Write(p)
}
