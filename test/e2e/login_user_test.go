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

// loginUser is a user who logs in at a tenant's client, with the role primary there.
type loginUser struct {
	*tenant
	user     string // the name of the User
	username string
	password string
}

// newPassword returns a new password, and adds it to the plaintexts that the leak check looks for.
func newPassword(t *testing.T) string {
	t.Helper()
	text := `it's "secret" \ & ` + rand.Text()
	plaintexts.addText(text)
	return text
}

// hashPassword returns the hash of a password. Its salt and digest, but not the common prefix, are
// added to the plaintexts that the leak check looks for.
func hashPassword(t *testing.T, text string) string {
	t.Helper()
	hash, err := password.Hash(password.NewSecret(text), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(hash, "$")
	plaintexts.addText(parts[len(parts)-2])
	plaintexts.addText(parts[len(parts)-1])
	return hash
}

// newUser creates a User whose password is stored as a hash.
func (w *tenant) newUser(name string) *loginUser {
	w.Helper()
	p := &loginUser{tenant: w, user: w.name + "-" + name, username: name + "@" + w.name + ".example", password: newPassword(w.T)}
	w.must(admin.Create(w.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: p.user}, Data: map[string][]byte{"passwordHash": []byte(hashPassword(w.T, p.password))},
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

// waitKnown waits until the operator has observed the User.
func (p *loginUser) waitKnown() {
	p.Helper()
	p.eventually(p.user+" is known", func(context.Context) bool {
		u, ok := p.op.Directory.ByUsername(p.username)
		_, there := p.op.Directory.Client(p.name)
		return ok && there && u.Credential != ""
	})
}

// atReplica returns the same user at another replica.
func (p *loginUser) atReplica(op *operator) *loginUser {
	w, other := *p.tenant, *p
	w.op, other.tenant = op, &w
	return &other
}

// editUser merges YAML into the spec of the User.
func (p *loginUser) editUser(spec string) {
	p.Helper()
	p.must(admin.Patch(p.Context(), &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: p.user}}, mergePatch(p.T, "spec", spec)))
}

// loginResponse is the response of a login protocol. A field that the protocol does not have is
// empty.
type loginResponse struct {
	response
	Success           *bool
	GUID, Token       string
	RefreshToken      string
	AccessToken       string `json:"access_token"`
	Session, Error    string
	OAuthRefreshToken string `json:"refresh_token"`
}

// doRequest sends a request of any protocol from 192.0.2.1, unless header names another address.
// The leak check looks for the credentials in the response.
func (p *loginUser) doRequest(ctx context.Context, method, path string, header http.Header, form url.Values) (loginResponse, error) {
	if header == nil {
		header = http.Header{}
	}
	if header.Get("X-Forwarded-For") == "" {
		header.Set("X-Forwarded-For", "192.0.2.1")
	}
	if form != nil {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	a, err := p.sendRequest(ctx, "bind-address", method, path, header, form.Encode())
	if err != nil {
		return loginResponse{}, err
	}
	return parseResponse(a)
}

// parseResponse parses a response, and adds the secrets in it to the plaintexts that the leak check
// looks for.
func parseResponse(a response) (loginResponse, error) {
	s := loginResponse{response: a}
	markSecrets([]byte(a.body + "\n" + a.header.Get("X-Security-Token")))
	return s, json.Unmarshal([]byte(a.body), &s)
}

// readResponse returns the response to a request that was sent by other means.
func readResponse(res *http.Response, err error) (loginResponse, error) {
	if err != nil {
		return loginResponse{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return loginResponse{}, err
	}
	return parseResponse(response{res.StatusCode, res.Header, string(text)})
}

// mustRequest is doRequest, and fails the test if there is no response.
func (p *loginUser) mustRequest(method, path string, header http.Header, form url.Values) loginResponse {
	p.Helper()
	s, err := p.doRequest(p.Context(), method, path, header, form)
	p.must(err)
	return s
}

func (p *loginUser) credentials() url.Values {
	return url.Values{"username": {p.username}, "password": {p.password}}
}

func (p *loginUser) basicAuth() http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(p.username+":"+p.password))}}
}

// logIn waits until the operator has observed the user, and returns a pair of tokens.
func (p *loginUser) logIn() loginResponse {
	p.Helper()
	var got loginResponse
	p.eventually(p.user+" logs in", func(ctx context.Context) bool {
		var err error
		got, err = p.doRequest(ctx, http.MethodPost, "/auth/login", nil, p.credentials())
		return err == nil && got.status == http.StatusOK
	})
	return got
}

// retryLimited repeats a request while it is answered 429, since too many passwords of the user are
// checked at once.
func (p *loginUser) retryLimited(ask func() (loginResponse, error)) (loginResponse, error) {
	for {
		if got, err := ask(); err != nil || got.status != http.StatusTooManyRequests || p.Context().Err() != nil {
			return got, err
		}
	}
}

// refresh exchanges a refresh token.
func (p *loginUser) refresh(text string) loginResponse {
	p.Helper()
	return p.mustRequest(http.MethodPost, "/auth/refresh", nil, url.Values{"refresh_token": {text}})
}

// loginRecords returns the records of the user's logins.
func (p *loginUser) loginRecords(ctx context.Context) []v1alpha1.TokenRecord {
	p.Helper()
	var list v1alpha1.TokenRecordList
	p.must(admin.List(ctx, &list, client.InNamespace(systemNamespace), client.MatchingFields{"spec.owner.name": p.user}))
	return list.Items
}

func bearerHeader(text string) http.Header { return http.Header{"Authorization": {"Bearer " + text}} }
