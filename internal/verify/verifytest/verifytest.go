// Package verifytest holds the vectors that every door answers alike: credentials, what is known of them, and what
// becomes of them. They are in vectors.json, for other implementations too.
package verifytest

import (
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

//go:embed vectors.json
var text []byte

// Vector is a credential, or the headers that it comes in, with what follows.
type Vector struct {
	Name       string              `json:"name"`
	Credential *string             `json:"credential"` // {name} stands for the token of that name
	Headers    map[string][]string `json:"headers"`    // in place of a credential
	Source     string              `json:"source"`     // address; empty: unknown
	Requires   struct {
		Permissions []string `json:"permissions"`
		Roles       []string `json:"roles"`
		Clients     []string `json:"clients"`
	} `json:"requires"`
	Verdict string `json:"verdict"`
	// Bare is the verdict where neither the source is known nor anything required. Empty: the same, or Good where something
	// was missing.
	Bare string `json:"bare"`

	Kind        string    `json:"kind"` // empty: Application
	Subject     string    `json:"subject"`
	Client      string    `json:"client"`
	Account     int64     `json:"account"`
	Roles       []string  `json:"roles"`
	Permissions []string  `json:"permissions"`
	ExpiresAt   time.Time `json:"expiresAt"`
}

// BareVerdict is the verdict of a door that knows no source and requires nothing.
func (v Vector) BareVerdict() string {
	switch {
	case v.Bare != "":
		return v.Bare
	case v.Verdict == verify.PermissionMissing.String(), v.Verdict == verify.RoleMissing.String(), v.Verdict == verify.ClientRefused.String():
		return verify.Good.String()
	default:
		return v.Verdict
	}
}

// Facts are what a door knows that sees all.
func (v Vector) Facts() verify.Facts {
	f := verify.Facts{Permissions: v.Requires.Permissions, Roles: v.Requires.Roles, Clients: v.Requires.Clients}
	if v.Source != "" {
		f.Source = netip.MustParseAddr(v.Source)
	}
	return f
}

// HTTPHeaders are those of a request that presents what the vector does.
func (v Vector) HTTPHeaders() http.Header {
	if v.Credential != nil {
		return http.Header{"Authorization": {"Bearer " + *v.Credential}}
	}
	h := http.Header{}
	for name, values := range v.Headers {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h
}

// World is what the vectors are about.
type World struct {
	Now     time.Time
	Index   *verify.Index
	Vectors []Vector
	Tokens  map[string]string // by name
	Records map[string]record.Record
}

type file struct {
	Now     time.Time `json:"now"`
	Clients []struct {
		Name      string              `json:"name"`
		AccountID int64               `json:"accountID"`
		Suspended bool                `json:"suspended"`
		Ranges    []string            `json:"ranges"`
		Roles     map[string][]string `json:"roles"`
	} `json:"clients"`
	Tokens map[string]struct {
		Kind         string    `json:"kind"`
		Unstored     bool      `json:"unstored"`
		Owner        string    `json:"owner"`
		OwnerStopped bool      `json:"ownerStopped"`
		OwnerUnknown bool      `json:"ownerUnknown"`
		Client       string    `json:"client"`
		Roles        []string  `json:"roles"`
		Permissions  []string  `json:"permissions"`
		Ranges       []string  `json:"ranges"`
		Suspended    bool      `json:"suspended"`
		SupersededAt time.Time `json:"supersededAt"`
		ExpiresAt    time.Time `json:"expiresAt"`
	} `json:"tokens"`
	Vectors []Vector `json:"vectors"`
}

// Load builds the world of the vectors.
func Load(t testing.TB) *World {
	t.Helper()
	var f file
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		t.Fatal(err)
	}
	w := &World{Now: f.Now, Index: &verify.Index{}, Tokens: map[string]string{}, Records: map[string]record.Record{}}
	for _, c := range f.Clients {
		var roles []grant.Role
		for name, permissions := range c.Roles {
			roles = append(roles, grant.Role{Name: name, Permissions: permissions})
		}
		w.Index.SetClient(verify.Client{
			Name: c.Name, AccountID: c.AccountID, Suspended: c.Suspended,
			Ceiling: grant.NewCeiling(roles), Ranges: verify.Ranges(c.Ranges),
		})
	}
	var stopped []record.Owner
	for name, tok := range f.Tokens {
		kind := kindOf(t, tok.Kind)
		minted := Mint(t, kind, name)
		namespace, owner, _ := strings.Cut(tok.Owner, "/")
		r := record.Record{
			Kind: kind, Digest: minted.Digest(), Hint: minted.Hint(),
			Owner:  record.Owner{Kind: "ApplicationToken", Namespace: namespace, Name: owner, UID: "uid-of-" + owner},
			Client: tok.Client, Suspended: tok.Suspended,
			Roles: tok.Roles, Permissions: tok.Permissions, SourceRanges: tok.Ranges,
			IssuedAt: f.Now.Add(-time.Hour), SupersededAt: tok.SupersededAt, ExpiresAt: tok.ExpiresAt,
		}
		w.Tokens[name], w.Records[name] = minted.Reveal(), r
		if tok.Unstored {
			continue
		}
		w.Index.Set(r)
		switch {
		case tok.OwnerStopped:
			stopped = append(stopped, r.Owner)
		case !tok.OwnerUnknown:
			w.Index.Resume(r.Owner)
		}
	}
	for _, owner := range stopped {
		w.Index.Stop(owner)
	}
	for _, v := range f.Vectors {
		if v.Credential != nil {
			filled := w.fill(*v.Credential)
			v.Credential = &filled
		}
		for name, values := range v.Headers {
			v.Headers[name] = slices.Clone(values)
			for i := range values {
				v.Headers[name][i] = w.fill(values[i])
			}
		}
		w.Vectors = append(w.Vectors, v)
	}
	return w
}

// fill puts tokens, and padding, in the places that are kept for them.
func (w *World) fill(s string) string {
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
	return s
}

func kindOf(t testing.TB, name string) token.Kind {
	t.Helper()
	if name == "" {
		return token.Application
	}
	for k := token.Application; k <= token.Refresh; k++ {
		if k.String() == name {
			return k
		}
	}
	t.Fatalf("there is no kind %q", name)
	return 0
}

// Mint makes the token that belongs to a seed, the same each time. Nothing outside of tests would take it.
func Mint(t testing.TB, kind token.Kind, seed string) token.Token {
	t.Helper()
	minted, err := token.Mint(kind, entropy(seed))
	if err != nil {
		t.Fatal(err)
	}
	return minted
}

func entropy(seed string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(seed))) }

// Same says how an identity differs from what the vector says; nil if it does not.
func (v Vector) Same(who verify.Identity) error {
	kind := v.Kind
	if kind == "" {
		kind = token.Application.String()
	}
	for _, x := range []struct{ what, got, want string }{
		{"kind", who.Kind.String(), kind},
		{"subject", who.Subject, v.Subject},
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
