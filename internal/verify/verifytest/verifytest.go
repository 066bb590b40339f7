package verifytest

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

//go:embed vectors.json
var vectorsJSON []byte

// Vector is a credential, or the headers that carry it, with the expected result.
type Vector struct {
	Name       string              `json:"name"`
	Credential *string             `json:"credential"` // {name} stands for the token of that name
	Headers    map[string][]string `json:"headers"`    // in place of a credential
	Source     string              `json:"source"`     // address; empty: unknown
	Session    string              `json:"session"`    // session ID that goes with the credential
	Query      string              `json:"query"`      // of the request
	Requires   struct {
		Permissions []string `json:"permissions"`
		Roles       []string `json:"roles"`
		Clients     []string `json:"clients"`
	} `json:"requires"`
	Verdict string `json:"verdict"`
	// Bare is the verdict if neither source nor session is known, and nothing is required. If it is
	// empty, it is the same verdict, or Valid if something was missing.
	Bare string `json:"bare"`

	Kind        string    `json:"kind"` // empty: Application
	Subject     string    `json:"subject"`
	User        string    `json:"user"`
	Client      string    `json:"client"`
	Account     int64     `json:"account"`
	Roles       []string  `json:"roles"`
	Permissions []string  `json:"permissions"`
	ExpiresAt   time.Time `json:"expiresAt"`
}

// Path is a path that a gateway asks about, with the status of the response.
type Path struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	Token  string `json:"token"` // name of the token to present; empty: none
	Status int    `json:"status"`
}

// BareVerdict returns the verdict of an endpoint that knows no source and no session, and requires
// nothing.
func (v Vector) BareVerdict() string {
	switch {
	case v.Bare != "":
		return v.Bare
	case v.Verdict == verify.PermissionMissing.String(), v.Verdict == verify.RoleMissing.String(), v.Verdict == verify.ClientRefused.String():
		return verify.Valid.String()
	default:
		return v.Verdict
	}
}

// Facts returns the facts that an endpoint knows if it sees the whole request.
func (v Vector) Facts() verify.Facts {
	f := verify.Facts{
		Permissions: v.Requires.Permissions, Roles: v.Requires.Roles, Clients: v.Requires.Clients, Session: v.Session,
	}
	if v.Source != "" {
		f.Source = netip.MustParseAddr(v.Source)
	}
	return f
}

// HTTPHeaders returns the headers of a request that presents the vector's credential.
func (v Vector) HTTPHeaders() http.Header {
	h := http.Header{}
	if v.Session != "" {
		h.Set("Cookie", "SESSION="+v.Session)
	}
	if v.Credential != nil {
		h.Set("Authorization", "Bearer "+*v.Credential)
	}
	for name, values := range v.Headers {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h
}

// Fixture is the state that the vectors refer to.
type Fixture struct {
	Now     time.Time
	Index   *verify.Index
	Vectors []Vector
	Paths   []Path
	Tokens  map[string]string // by name
	Records map[string]record.Record
	Users   map[string]verify.User
	Clients []verify.Client

	// UserPasswords and DefaultAccounts are those of the users, by name. Empty: the user has none.
	UserPasswords, DefaultAccounts map[string]string
}

// encodedText matches a text that stands for its base64, in UTF-8 or in Latin-1.
var encodedText = regexp.MustCompile(`\{(base64|latin1):([^}]*)\}`)

// encodeText returns the base64 of what encodedText matches.
func encodeText(placeholder string) string {
	parts := encodedText.FindStringSubmatch(placeholder)
	var text []byte
	for _, point := range parts[2] {
		if parts[1] == "latin1" {
			text = append(text, byte(point)) //nolint:gosec // Latin-1 has no other code points
		} else {
			text = utf8.AppendRune(text, point)
		}
	}
	return base64.StdEncoding.EncodeToString(text)
}

// fillPlaceholders replaces the placeholders for tokens, for padding and for base64.
func (w *Fixture) fillPlaceholders(s string) string {
	for name, tok := range w.Tokens {
		s = strings.ReplaceAll(s, "{"+name+"}", tok)
		s = strings.ReplaceAll(s, "{"+strings.ToUpper(name)+"}", strings.ToUpper(tok))
	}
	if before, rest, ok := strings.Cut(s, "{pad"); ok {
		number, after, _ := strings.Cut(rest, "}")
		n, err := strconv.Atoi(number)
		if err != nil {
			panic(err)
		}
		s = before + strings.Repeat("0", n) + after
	}
	return encodedText.ReplaceAllStringFunc(s, encodeText)
}

func kindOf(t testing.TB, name string) token.Kind {
	t.Helper()
	if name == "" {
		return token.Application
	}
	for k := token.Application; k <= token.Access; k++ {
		if k.String() == name {
			return k
		}
	}
	t.Fatalf("there is no kind %q", name)
	return 0
}

// Mint returns the token that belongs to a seed, the same each time. Only tests accept it.
func Mint(t testing.TB, kind token.Kind, seed string) token.Token {
	t.Helper()
	minted, err := token.Mint(kind, seededEntropy(seed))
	if err != nil {
		t.Fatal(err)
	}
	return minted
}

func seededEntropy(seed string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(seed))) }

// CompareIdentity returns how an identity differs from the vector's, or nil if it does not.
func (v Vector) CompareIdentity(who verify.Identity) error {
	kind := v.Kind
	if kind == "" {
		kind = token.Application.String()
	}
	user := ""
	if who.User != nil {
		user = who.User.Name
	}
	for _, x := range []struct{ what, got, want string }{
		{"kind", who.Kind.String(), kind},
		{"subject", who.Subject, v.Subject},
		{"user", user, v.User},
		{"client", who.Client.Name, v.Client},
		{"account", strconv.FormatInt(who.Client.AccountID, 10), strconv.FormatInt(v.Account, 10)},
		{"roles", strings.Join(who.Roles, ","), strings.Join(v.Roles, ",")},
		{"permissions", strings.Join(who.Permissions, ","), strings.Join(v.Permissions, ",")},
		{"expiry", who.ExpiresAt.String(), v.ExpiresAt.String()},
	} {
		if x.got != x.want {
			return fmt.Errorf("%s is %q, want %q", x.what, x.got, x.want)
		}
	}
	return nil
}
