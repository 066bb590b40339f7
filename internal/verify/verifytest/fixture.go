package verifytest

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

type vectorFile struct {
	Now        time.Time                    `json:"now"`
	Clients    []clientSpec                 `json:"clients"`
	Namespaces map[string]map[string]string `json:"namespaces"` // labels by name
	Users      []userSpec                   `json:"users"`
	Tokens     map[string]tokenSpec         `json:"tokens"`
	Vectors    []Vector                     `json:"vectors"`
	Paths      []Path                       `json:"paths"`
}

type clientSpec struct {
	Name      string              `json:"name"`
	AccountID int64               `json:"accountID"`
	Suspended bool                `json:"suspended"`
	Basic     bool                `json:"basic"` // it allows Basic authentication
	Ranges    []string            `json:"ranges"`
	Roles     map[string][]string `json:"roles"`
	Grants    []grants            `json:"grants"`
}

type userSpec struct {
	Name       string              `json:"name"`
	Username   string              `json:"username"`
	Suspended  bool                `json:"suspended"`
	Credential string              `json:"credential"` // fingerprint of the password
	Accounts   map[string][]string `json:"accounts"`   // roles by client
	Namespaces []string            `json:"namespaces"` // whose ApplicationTokens may speak for the user
	Password   string              `json:"password"`   // empty: no vector presents it

	DefaultAccount string `json:"defaultAccount"` // empty: the first by name
}

// grants is a grant of a client: of roles to namespaces, by name or by a common label.
type grants struct {
	Namespaces []string          `json:"namespaces"`
	Labels     map[string]string `json:"labels"`
	Roles      []string          `json:"roles"`
}

// drawFunc returns the roles that the grants let a namespace draw.
func drawFunc(all []grants) func(namespace string, labels map[string]string) ([]string, bool) {
	return func(namespace string, labels map[string]string) (roles []string, granted bool) {
		for _, g := range all {
			selected := slices.Contains(g.Namespaces, namespace)
			for key, value := range g.Labels {
				selected = selected || labels[key] == value
			}
			if selected {
				granted, roles = true, append(roles, g.Roles...)
			}
		}
		return roles, granted
	}
}

// tokenSpec is a token with the fields of its record. It was issued an hour ago.
type tokenSpec struct {
	Kind          string    `json:"kind"` // empty: Application
	IsUnstored    bool      `json:"unstored"`
	Owner         string    `json:"owner"` // a User, if there is no slash
	OwnerDisabled bool      `json:"ownerStopped"`
	OwnerUnknown  bool      `json:"ownerUnknown"`
	Client        string    `json:"client"`
	User          string    `json:"user"`
	UserUID       string    `json:"userUID"` // empty: that of the user, if the token has an owner beside
	Exempt        bool      `json:"exempt"`  // the owner's namespace needs no grant
	Roles         []string  `json:"roles"`
	Permissions   []string  `json:"permissions"`
	Ranges        []string  `json:"ranges"`
	Suspended     bool      `json:"suspended"`
	SupersededAt  time.Time `json:"supersededAt"`
	ExpiresAt     time.Time `json:"expiresAt"`
	Credential    string    `json:"credential"` // fingerprint of the password that opened it
	Session       string    `json:"session"`    // session ID, of which the record stores a digest
	Idle          string    `json:"idle"`
	LastUsedAt    time.Time `json:"lastUsedAt"` // in the API server
}

// record returns the record of a token.
func (i tokenSpec) record(t testing.TB, minted token.Token, now time.Time) record.Record {
	t.Helper()
	owner := record.Owner{Kind: "ApplicationToken", Name: i.Owner, UID: "uid-of-" + i.Owner}
	if namespace, name, ok := strings.Cut(i.Owner, "/"); ok {
		owner.Namespace, owner.Name = namespace, name
	} else {
		owner.Kind = "User"
	}
	r := record.Record{
		Kind: minted.Kind(), Digest: minted.Digest(), Hint: minted.Hint(), Owner: owner,
		Client: i.Client, User: i.User, Suspended: i.Suspended, Roles: i.Roles, Permissions: i.Permissions, SourceRanges: i.Ranges,
		IssuedAt: now.Add(-time.Hour), SupersededAt: i.SupersededAt, ExpiresAt: i.ExpiresAt,
		Credential: i.Credential, Session: verify.SessionDigest(i.Session), LastUsedAt: i.LastUsedAt,
	}
	if i.User != "" && owner.Namespace != "" {
		r.UserUID = cmp.Or(i.UserUID, "uid-of-"+i.User)
	}
	if i.Idle != "" {
		var err error
		if r.IdleTimeout, err = time.ParseDuration(i.Idle); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// Load builds the state that the vectors refer to.
func Load(t testing.TB) *Fixture {
	t.Helper()
	var f vectorFile
	decoder := json.NewDecoder(strings.NewReader(string(vectorsJSON)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		t.Fatal(err)
	}
	w := &Fixture{
		Now: f.Now, Index: &verify.Index{}, Tokens: map[string]string{}, Records: map[string]record.Record{},
		Users: map[string]verify.User{}, Paths: f.Paths, UserPasswords: map[string]string{}, DefaultAccounts: map[string]string{},
	}
	w.addClients(f.Clients)
	w.addUsers(f.Users)
	for name, labels := range f.Namespaces {
		w.Index.SetNamespace(name, labels)
	}
	w.addTokens(t, f.Tokens)
	w.addVectors(f.Vectors)
	return w
}

func (w *Fixture) addClients(specs []clientSpec) {
	for _, c := range specs {
		var roles []grant.Role
		for name, permissions := range c.Roles {
			roles = append(roles, grant.Role{Name: name, Permissions: permissions})
		}
		client := verify.Client{
			Name: c.Name, AccountID: c.AccountID, Suspended: c.Suspended, AllowsBasic: c.Basic,
			Ceiling: grant.NewCeiling(roles), Ranges: verify.ParseRanges(c.Ranges), Draw: drawFunc(c.Grants),
		}
		w.Clients = append(w.Clients, client)
		w.Index.SetClient(client)
	}
}

func (w *Fixture) addUsers(specs []userSpec) {
	for _, u := range specs {
		w.Users[u.Name] = verify.User{
			Name: u.Name, Username: u.Username, UID: "uid-of-" + u.Name, Suspended: u.Suspended,
			Credential: u.Credential, Accounts: u.Accounts, Namespaces: u.Namespaces,
		}
		w.Index.SetUser(w.Users[u.Name])
		w.UserPasswords[u.Name], w.DefaultAccounts[u.Name] = u.Password, u.DefaultAccount
	}
}

// addTokens mints the tokens, and stores their records and the states of their owners. An owner
// with a disabled token is disabled, whichever other tokens it has.
func (w *Fixture) addTokens(t testing.TB, specs map[string]tokenSpec) {
	t.Helper()
	var disabled []record.Owner
	for name, tok := range specs {
		minted := Mint(t, kindOf(t, tok.Kind), name)
		r := tok.record(t, minted, w.Now)
		w.Tokens[name], w.Records[name] = minted.Reveal(), r
		if tok.IsUnstored {
			continue
		}
		w.Index.Set(r)
		switch {
		case tok.OwnerDisabled:
			disabled = append(disabled, r.Owner)
		case tok.Exempt:
			w.Index.EnableExempt(r.Owner)
		case !tok.OwnerUnknown:
			w.Index.Enable(r.Owner)
		}
	}
	for _, owner := range disabled {
		w.Index.Disable(owner)
	}
}

// addVectors adds the vectors, with the tokens in place of their names.
func (w *Fixture) addVectors(vectors []Vector) {
	for _, v := range vectors {
		if v.Credential != nil {
			filled := w.fillPlaceholders(*v.Credential)
			v.Credential = &filled
		}
		for name, values := range v.Headers {
			v.Headers[name] = slices.Clone(values)
			for i := range values {
				v.Headers[name][i] = w.fillPlaceholders(values[i])
			}
		}
		w.Vectors = append(w.Vectors, v)
	}
}
