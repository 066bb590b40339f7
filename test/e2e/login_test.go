package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// maxRevocationDelay is the limit within which a revoked credential must be rejected everywhere.
const maxRevocationDelay = time.Second

// endpointCheck asks an endpoint about a credential, and reports whether it is valid. It fails if
// there is no answer.
type endpointCheck func(ctx context.Context, text string) (good bool, err error)

// verificationEndpoints returns every endpoint that answers about credentials. introspector is a
// token of another client that may introspect.
func (w *tenant) verificationEndpoints(introspector string) map[string]endpointCheck {
	w.Helper()
	conn, err := grpc.NewClient(w.op.Listeners["grpc-bind-address"].Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	w.must(err)
	w.Cleanup(func() { conn.Close() })
	envoy := authv3.NewAuthorizationClient(conn)
	// fetch parses a response of status 200. Any other response is an error and not an answer.
	fetch := func(ctx context.Context, flag, method, path string, header http.Header, body string, into any) error {
		header.Set("X-Forwarded-For", "192.0.2.1")
		a, err := w.sendRequest(ctx, flag, method, path, header, body)
		if err == nil && a.status != http.StatusOK {
			return fmt.Errorf("%s answers %d: %s", path, a.status, a.body)
		}
		if err == nil {
			err = json.Unmarshal([]byte(a.body), into)
		}
		return err
	}
	return map[string]endpointCheck{
		"/verify": func(ctx context.Context, text string) (bool, error) {
			header := bearerHeader(text)
			header.Set("X-Forwarded-For", "192.0.2.1")
			a, err := w.sendRequest(ctx, "bind-address", http.MethodGet, "/verify", header, "")
			if err == nil && a.status != http.StatusOK && a.status != http.StatusUnauthorized {
				err = fmt.Errorf("/verify answers %d", a.status)
			}
			return a.status == http.StatusOK, err
		},
		"introspection": func(ctx context.Context, text string) (bool, error) {
			header := bearerHeader(introspector)
			header.Set("Content-Type", "application/x-www-form-urlencoded")
			var said struct{ Active bool }
			err := fetch(ctx, "bind-address", http.MethodPost, "/oauth2/introspect", header, url.Values{"token": {text}}.Encode(), &said)
			return said.Active, err
		},
		"TokenReview": func(ctx context.Context, text string) (bool, error) {
			body, err := json.Marshal(authenticationv1.TokenReview{
				TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
				Spec:     authenticationv1.TokenReviewSpec{Token: text},
			})
			if err != nil {
				return false, err
			}
			var said authenticationv1.TokenReview
			err = fetch(ctx, "webhook-bind-address", http.MethodPost, "/tokenreview", http.Header{"Content-Type": {"application/json"}}, string(body), &said)
			return said.Status.Authenticated, err
		},
		"ext_authz": func(ctx context.Context, text string) (bool, error) {
			said, err := envoy.Check(ctx, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
				Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
					Headers: map[string]string{"authorization": "Bearer " + text},
				}},
			}})
			return said.GetOkResponse() != nil, err
		},
	}
}

// assertValid asserts that a credential is valid at each endpoint.
func (w *tenant) assertValid(endpoints map[string]endpointCheck, text string) {
	w.Helper()
	for endpoint, ask := range endpoints {
		if good, err := ask(w.Context(), text); !good || err != nil {
			w.Errorf("at %s, a login that has not ended is valid: %t, %v", endpoint, good, err)
		}
	}
}

// assertRejectedSoon asserts that each endpoint rejects each of the credentials, within
// maxRevocationDelay of an instant.
func (w *tenant) assertRejectedSoon(endpoints map[string]endpointCheck, since time.Time, texts ...string) {
	w.Helper()
	for _, text := range texts {
		for endpoint, ask := range endpoints {
			err := w.poll(time.Until(since.Add(maxRevocationDelay)), func(ctx context.Context) bool {
				good, err := ask(ctx, text)
				return !good && err == nil
			})
			if err != nil {
				w.Errorf("%s later, %s still accepts it, or does not answer: %v", time.Since(since).Round(time.Millisecond), endpoint, err)
			}
		}
	}
}

func TestLogin_EndIsObservedAtEveryEndpoint(t *testing.T) { // [3.7] [row 2]
	op := startOperator(t, defaultOptions())
	loginAddress(t, op)
	guard := newTenant(t, op)
	guard.editClient(`{roles: [{name: primary, permissions: ["search.*"]}, {name: writer, permissions: ["sec.token.introspect", "sec.escalate.introspect"]}]}`)
	guard.declareToken("gateway", `{roles: [writer]}`)
	guard.waitReady("gateway")
	endpoints := guard.verificationEndpoints(guard.tokenText("gateway"))
	for sentence, end := range map[string]func(p *loginUser, now loginResponse){
		"the user is suspended":     func(p *loginUser, _ loginResponse) { p.editUser(`{state: Suspended}`) },
		"the account is taken away": func(p *loginUser, _ loginResponse) { p.editUser(`{accounts: null}`) },
		"the client is suspended":   func(p *loginUser, _ loginResponse) { p.editClient(`{state: Suspended}`) },
		"the client is deleted": func(p *loginUser, _ loginResponse) {
			p.must(admin.Delete(t.Context(), &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: p.name}}))
		},
		"the user is deleted": func(p *loginUser, _ loginResponse) {
			p.must(admin.Delete(t.Context(), &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: p.user}}))
		},
		"the password changes": func(p *loginUser, _ loginResponse) {
			changed := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: p.user}, Data: map[string][]byte{"passwordHash": []byte(hashPassword(t, newPassword(t)))},
			}
			p.must(admin.Update(t.Context(), changed))
		},
		"the password is gone": func(p *loginUser, _ loginResponse) {
			p.must(admin.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: p.user}}))
		},
		"its records are deleted": func(p *loginUser, _ loginResponse) {
			for _, r := range p.loginRecords(t.Context()) {
				p.must(admin.Delete(t.Context(), &r))
			}
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := newTenant(t, op).newUser("alice")
			login := p.logIn()
			open := p.mustRequest(http.MethodGet, "/security/rest/token/access/60", p.basicAuth(), nil)
			session := p.mustRequest(http.MethodGet, "/security/rest/token/access/session/60", p.basicAuth(), nil)
			p.assertValid(endpoints, login.Token)
			p.assertValid(endpoints, open.AccessToken)
			if got := p.sessionStatus(session); got != http.StatusOK {
				t.Errorf("the session: %d", got)
			}

			end(p, login)
			since := time.Now()
			p.assertRejectedSoon(endpoints, since, login.Token, open.AccessToken)
			if err := p.poll(time.Until(since.Add(maxRevocationDelay)), func(context.Context) bool { return p.sessionStatus(session) == http.StatusUnauthorized }); err != nil {
				t.Errorf("the session goes on: %v", err)
			}
			if got := p.refresh(login.RefreshToken); got.status != http.StatusUnauthorized {
				t.Errorf("it is refreshed: %d %s", got.status, got.Error)
			}
		})
	}
	t.Run("its holder logs out", func(t *testing.T) {
		p := newTenant(t, op).newUser("alice")
		login, other := p.logIn(), p.logIn()
		if got := p.mustRequest(http.MethodPost, "/auth/logout", bearerHeader(login.Token), nil); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		p.assertRejectedSoon(endpoints, time.Now(), login.Token)
		p.assertValid(endpoints, other.Token)
		if got := p.refresh(login.RefreshToken); got.status != http.StatusUnauthorized {
			t.Errorf("it is refreshed: %d %s", got.status, got.Error)
		}
	})
}

// sessionStatus presents a session token with its session id, from the address that it was issued
// to.
func (p *loginUser) sessionStatus(s loginResponse) int {
	p.Helper()
	header := bearerHeader(s.AccessToken)
	header.Set("Cookie", "SESSION="+s.Session)
	header.Set("X-Forwarded-For", "192.0.2.1")
	a, err := p.sendRequest(p.Context(), "bind-address", http.MethodGet, "/verify", header, "")
	p.must(err)
	return a.status
}

func TestLogin_SurvivesRestart(t *testing.T) {
	op := startOperator(t, defaultOptions())
	loginAddress(t, op)
	p := newTenant(t, op).newUser("alice")
	login := p.logIn()
	session := p.mustRequest(http.MethodGet, "/security/rest/token/access/session/60", p.basicAuth(), nil)
	open := p.mustRequest(http.MethodGet, "/security/rest/token/access/60", p.basicAuth(), nil)
	ended := p.logIn()
	if got := p.mustRequest(http.MethodPost, "/auth/logout", bearerHeader(ended.Token), nil); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	p.must(op.stop())

	next := startOperator(t, defaultOptions())
	loginAddress(t, next)
	p = p.atReplica(next)
	p.eventually("the index is complete", func(context.Context) bool { return p.verifyToken(login.Token, "", "192.0.2.1").status == http.StatusOK })
	if got := p.verifyToken(open.AccessToken, "", "192.0.2.1"); got.status != http.StatusOK {
		t.Errorf("an open token: %d", got.status)
	}
	if got := p.sessionStatus(session); got != http.StatusOK {
		t.Errorf("a session: %d", got)
	}
	if got := p.verifyToken(ended.Token, "", "192.0.2.1"); got.status != http.StatusUnauthorized {
		t.Errorf("what was ended before: %d", got.status)
	}
	if got := p.refresh(login.RefreshToken); got.status != http.StatusOK || p.verifyToken(got.Token, "", "192.0.2.1").status != http.StatusOK {
		t.Errorf("a refresh: %d %s", got.status, got.Error)
	}
	if got := p.verifyToken(login.Token, "", "192.0.2.1"); got.status != http.StatusUnauthorized {
		t.Errorf("what was refreshed: %d", got.status)
	}
	var u v1alpha1.User
	p.must(admin.Get(t.Context(), client.ObjectKey{Name: p.user}, &u))
}
