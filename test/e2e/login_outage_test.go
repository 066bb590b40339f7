package e2e_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// cutProxy is a TCP proxy to the API server that can be cut.
type cutProxy struct {
	listener net.Listener
	server   string // host:port

	mu   sync.Mutex
	cut  bool
	open map[net.Conn]bool
}

// newCutProxy starts a proxy, and returns a configuration that reaches the API server through it.
func newCutProxy(t *testing.T, to *rest.Config) (*cutProxy, *rest.Config) {
	t.Helper()
	server, err := url.Parse(to.Host)
	if err != nil || server.Host == "" {
		server = &url.URL{Host: to.Host}
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &cutProxy{listener: l, server: server.Host, open: map[net.Conn]bool{}}
	ended := make(chan struct{})
	go func() { defer close(ended); w.accept() }()
	t.Cleanup(func() {
		l.Close()
		w.setCut(true)
		<-ended
	})
	over := rest.CopyConfig(to)
	over.Host = "https://" + l.Addr().String()
	return w, over
}

// accept takes connections until the listener is closed.
func (w *cutProxy) accept() {
	var each sync.WaitGroup
	defer each.Wait()
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		each.Go(func() { w.forward(near) })
	}
}

func (w *cutProxy) forward(near net.Conn) {
	defer near.Close()
	far, err := new(net.Dialer).Dial("tcp", w.server)
	if err != nil {
		return
	}
	defer far.Close()
	if !w.register(near, far) {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // until one of them is closed
			near.Close()
			far.Close()
		})
	}
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, near)
	delete(w.open, far)
}

// register registers connections, so that they can be cut. It returns false if the proxy is cut.
func (w *cutProxy) register(all ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range all {
		w.open[c] = true
	}
	return !w.cut
}

// setCut cuts the proxy and all its connections, or restores it.
func (w *cutProxy) setCut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	for c := range w.open {
		if cut {
			c.Close()
		}
	}
}

func TestLogin_OutageVerifiesAndRefusesWrites(t *testing.T) { // [3.8]
	wire, over := newCutProxy(t, operatorConfig())
	op, err := runOperatorAt(over, defaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := op.stop(); err != nil {
			t.Errorf("the operator's end: %v", err)
		}
	})
	loginAddress(t, op)
	p := newTenant(t, op).newUser("alice")
	login, other, third := p.logIn(), p.logIn(), p.logIn()
	session := p.mustRequest(http.MethodGet, "/security/rest/token/access/session/60", p.basicAuth(), nil)
	if got := p.verifyToken(login.Token, "", "192.0.2.1"); got.status != http.StatusOK {
		t.Fatalf("before: %d", got.status)
	}
	before := len(p.loginRecords(t.Context()))

	wire.setCut(true)
	verifies := func() {
		t.Helper()
		for range 5 {
			if got := p.verifyToken(login.Token, "", "192.0.2.1"); got.status != http.StatusOK {
				t.Errorf("a login: %d", got.status)
			}
			if got := p.sessionStatus(session); got != http.StatusOK {
				t.Errorf("a session: %d", got)
			}
		}
	}
	verifies()
	wrong := p.credentials()
	wrong.Set("password", "wrong")
	var all sync.WaitGroup
	for sentence, ask := range map[string]func() (loginResponse, error){
		"a login": func() (loginResponse, error) {
			return p.doRequest(t.Context(), http.MethodPost, "/auth/login", nil, p.credentials())
		},
		"a login by form": func() (loginResponse, error) {
			return p.doRequest(t.Context(), http.MethodPost, "/admin-api/account/v1/login", nil, p.credentials())
		},
		"a session": func() (loginResponse, error) {
			return p.doRequest(t.Context(), http.MethodGet, "/security/rest/token/access/session/60", p.basicAuth(), nil)
		},
		"a grant": func() (loginResponse, error) {
			form := p.credentials()
			form.Set("grant_type", "password")
			return p.doRequest(t.Context(), http.MethodPost, "/oauth2/token", nil, form)
		},
		"a refresh": func() (loginResponse, error) {
			return p.doRequest(t.Context(), http.MethodPost, "/auth/refresh", nil, url.Values{"refresh_token": {other.RefreshToken}})
		},
		"a refresh by OAuth": func() (loginResponse, error) {
			return p.doRequest(t.Context(), http.MethodPost, "/oauth2/token", nil, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {third.RefreshToken}})
		},
		"a revocation": func() (loginResponse, error) {
			return p.doRequest(t.Context(), http.MethodPost, "/oauth2/revoke", nil, url.Values{"token": {other.Token}})
		},
		"a revocation of a refresh token": func() (loginResponse, error) {
			return p.doRequest(t.Context(), http.MethodPost, "/oauth2/revoke", nil, url.Values{"token": {other.RefreshToken}})
		},
		"a logout": func() (loginResponse, error) {
			return p.doRequest(t.Context(), http.MethodPost, "/auth/logout", bearerHeader(other.Token), nil)
		},
	} {
		all.Go(func() {
			began := time.Now()
			got, err := p.retryLimited(ask)
			t.Logf("%s: %d after %s", sentence, got.status, time.Since(began).Round(time.Millisecond))
			after, wrong := strconv.Atoi(got.header.Get("Retry-After"))
			if err != nil || got.status != http.StatusServiceUnavailable || got.Error != "temporarily_unavailable" || wrong != nil || after < 1 {
				t.Errorf("%s: %d %s, Retry-After %q, %v", sentence, got.status, got.body, got.header.Get("Retry-After"), err)
			}
			if strings.Contains(got.body, "connect") || strings.Contains(got.body, "127.0.0.1") {
				t.Errorf("%s: the answer reveals what is behind the operator: %s", sentence, got.body)
			}
		})
	}
	verifies() // does not wait for the requests above
	all.Wait()
	if got := p.mustRequest(http.MethodPost, "/auth/login", nil, wrong); got.status != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", got.status)
	}
	verifies()

	wire.setCut(false)
	p.eventually("logins are opened again", func(ctx context.Context) bool {
		got, err := p.doRequest(ctx, http.MethodPost, "/auth/login", nil, p.credentials())
		return err == nil && got.status == http.StatusOK
	})
	for _, text := range []string{other.RefreshToken, third.RefreshToken} {
		if got := p.refresh(text); got.status != http.StatusOK {
			t.Errorf("what could not be refreshed: %d %s", got.status, got.body)
		}
	}
	verifies()
	if now := len(p.loginRecords(t.Context())); now != before+1 {
		t.Errorf("there were %d logins and there are %d, of which one was opened: what failed has left some", before, now)
	}
}
