package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login/password"
)

// person is a user who logs in at a tenant's client, with the role primary there.
type person struct {
	*tenant
	user     string // the name of the User
	username string
	password string
}

// secretText returns a new password, and adds it to the plaintexts that the leak check looks for.
func secretText(t *testing.T) string {
	t.Helper()
	text := `it's "secret" \ & ` + rand.Text()
	plaintexts.mark(text)
	return text
}

// hashed returns the hash of a password. Its salt and digest, but not the common prefix, are added
// to the plaintexts that the leak check looks for.
func hashed(t *testing.T, text string) string {
	t.Helper()
	hash, err := password.Hash(password.Take(text), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(hash, "$")
	plaintexts.mark(parts[len(parts)-2])
	plaintexts.mark(parts[len(parts)-1])
	return hash
}

// person creates a User whose password is stored as a hash.
func (w *tenant) person(name string) *person {
	w.Helper()
	p := &person{tenant: w, user: w.name + "-" + name, username: name + "@" + w.name + ".example", password: secretText(w.T)}
	w.must(admin.Create(w.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: p.user}, Data: map[string][]byte{"passwordHash": []byte(hashed(w.T, p.password))},
	}))
	w.must(admin.Create(w.Context(), &v1alpha1.User{
		ObjectMeta: metav1.ObjectMeta{Name: p.user},
		Spec: v1alpha1.UserSpec{
			Username: p.username, PasswordSecretRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(p.user)},
			Accounts: []v1alpha1.Account{{Client: w.name, Roles: []v1alpha1.RoleName{"primary"}}},
		},
	}))
	return p
}

// known waits until the operator has observed the User.
func (p *person) known() {
	p.Helper()
	p.eventually(p.user+" is known", func(context.Context) bool {
		u, ok := p.op.People.ByUsername(p.username)
		_, there := p.op.People.Client(p.name)
		return ok && there && u.Credential != ""
	})
}

// at returns the same person at another replica.
func (p *person) at(op *operator) *person {
	w, other := *p.tenant, *p
	w.op, other.tenant = op, &w
	return &other
}

// edit merges YAML into the spec of the User.
func (p *person) edit(spec string) {
	p.Helper()
	p.must(admin.Patch(p.Context(), &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: p.user}}, merge(p.T, "spec", spec)))
}

// says is the response of a login protocol. A field that the protocol does not have is empty.
type says struct {
	answer
	Success           *bool
	GUID, Token       string
	RefreshToken      string
	AccessToken       string `json:"access_token"`
	Session, Error    string
	OAuthRefreshToken string `json:"refresh_token"`
}

// ask sends a request of any protocol from 192.0.2.1, unless header names another address. The leak
// check looks for the credentials in the response.
func (p *person) ask(ctx context.Context, method, path string, header http.Header, form url.Values) (says, error) {
	if header == nil {
		header = http.Header{}
	}
	if header.Get("X-Forwarded-For") == "" {
		header.Set("X-Forwarded-For", "192.0.2.1")
	}
	if form != nil {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	a, err := p.knock(ctx, "bind-address", method, path, header, form.Encode())
	if err != nil {
		return says{}, err
	}
	return said(a)
}

// said parses a response, and adds the secrets in it to the plaintexts that the leak check looks
// for.
func said(a answer) (says, error) {
	s := says{answer: a}
	noteSecrets([]byte(a.body + "\n" + a.header.Get("X-Security-Token")))
	return s, json.Unmarshal([]byte(a.body), &s)
}

// read returns the response to a request that was sent by other means.
func read(res *http.Response, err error) (says, error) {
	if err != nil {
		return says{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return says{}, err
	}
	return said(answer{res.StatusCode, res.Header, string(text)})
}

// asks is ask, and fails the test if there is no response.
func (p *person) asks(method, path string, header http.Header, form url.Values) says {
	p.Helper()
	s, err := p.ask(p.Context(), method, path, header, form)
	p.must(err)
	return s
}

func (p *person) credentials() url.Values {
	return url.Values{"username": {p.username}, "password": {p.password}}
}

func (p *person) basic() http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(p.username+":"+p.password))}}
}

// logsIn waits until the operator has observed the person, and returns a pair of tokens.
func (p *person) logsIn() says {
	p.Helper()
	var got says
	p.eventually(p.user+" logs in", func(ctx context.Context) bool {
		var err error
		got, err = p.ask(ctx, http.MethodPost, "/auth/login", nil, p.credentials())
		return err == nil && got.status == http.StatusOK
	})
	return got
}

// persists repeats a request while it is answered 429, since too many passwords of the user are
// checked at once.
func (p *person) persists(ask func() (says, error)) (says, error) {
	for {
		if got, err := ask(); err != nil || got.status != http.StatusTooManyRequests || p.Context().Err() != nil {
			return got, err
		}
	}
}

// refreshes exchanges a refresh token.
func (p *person) refreshes(text string) says {
	p.Helper()
	return p.asks(http.MethodPost, "/auth/refresh", nil, url.Values{"refresh_token": {text}})
}

// logins returns the records of the person's logins.
func (p *person) logins(ctx context.Context) []v1alpha1.TokenRecord {
	p.Helper()
	var list v1alpha1.TokenRecordList
	p.must(admin.List(ctx, &list, client.InNamespace(system), client.MatchingFields{"spec.owner.name": p.user}))
	return list.Items
}

func bearer(text string) http.Header { return http.Header{"Authorization": {"Bearer " + text}} }
