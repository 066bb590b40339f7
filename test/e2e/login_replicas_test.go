package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// startThreeReplicas starts three operators, of which one reconciles.
func startThreeReplicas(t *testing.T) []*operator {
	t.Helper()
	var all []*operator
	for range 3 {
		o := defaultOptions()
		o.LeaderElect = true
		all = append(all, startOperator(t, o))
	}
	for _, op := range all {
		loginAddress(t, op)
	}
	return all
}

// balancedUser is a user whose requests go to the replicas in turn, through a load balancer that
// passes on their address.
type balancedUser struct {
	*loginUser
	url    string
	served []atomic.Int64
}

func newBalancedUser(t *testing.T, p *loginUser, all []*operator) *balancedUser {
	t.Helper()
	b := &balancedUser{loginUser: p, served: make([]atomic.Int64, len(all))}
	var turn atomic.Int64
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		n := int(turn.Add(1)-1) % len(all)
		b.served[n].Add(1)
		r.SetURL(&url.URL{Scheme: "http", Host: all[n].Listeners["bind-address"].Addr().String()})
		r.Out.Header.Set("X-Forwarded-For", "192.0.2.1")
	}})
	t.Cleanup(proxy.Close)
	b.url = proxy.URL
	for _, op := range all {
		p.atReplica(op).waitKnown()
	}
	return b
}

// send sends a form to the next replica.
func (b *balancedUser) send(ctx context.Context, path string, form url.Values) (loginResponse, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return loginResponse{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return readResponse(http.DefaultClient.Do(req))
}

func TestLogin_IsValidOnAllReplicas(t *testing.T) { // [row 2]
	all := startThreeReplicas(t)
	b := newBalancedUser(t, newTenant(t, all[0]).newUser("alice"), all)
	// is asserts what each replica answers at the first request, whatever its watch has delivered.
	is := func(sentence, text string, want int) {
		t.Helper()
		for i, op := range all {
			if got := b.atReplica(op).verifyToken(text, "", "192.0.2.1").status; got != want {
				t.Errorf("%s: replica %d answers %d", sentence, i, got)
			}
		}
	}
	soon := func(sentence, text string, want int) {
		t.Helper()
		for i, op := range all {
			asker := b.atReplica(op)
			b.eventually(fmt.Sprintf("%s, at replica %d", sentence, i), func(context.Context) bool { return asker.verifyToken(text, "", "192.0.2.1").status == want })
		}
	}
	login, err := b.send(t.Context(), "/auth/login", b.credentials())
	b.must(err)
	for round := range 2 * len(all) {
		is("a pair that was just had is good everywhere", login.Token, http.StatusOK)
		next, err := b.send(t.Context(), "/auth/refresh", url.Values{"refresh_token": {login.RefreshToken}})
		b.must(err)
		if next.status != http.StatusOK {
			t.Fatalf("round %d, at the next replica: %d %s", round, next.status, next.body)
		}
		soon("the pair before has ended", login.Token, http.StatusUnauthorized)
		login = next
	}
	for i := range b.served {
		if b.served[i].Load() == 0 {
			t.Errorf("replica %d had nothing to do", i)
		}
	}
	if got := b.atReplica(all[1]).mustRequest(http.MethodPost, "/auth/logout", bearerHeader(login.Token), nil); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	soon("who logs out at one is logged out on all", login.Token, http.StatusUnauthorized)
	if n := len(b.loginRecords(t.Context())); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func TestRefresh_OneOfConcurrentContinuesSession(t *testing.T) {
	all := startThreeReplicas(t)
	b := newBalancedUser(t, newTenant(t, all[0]).newUser("alice"), all)
	login, err := b.send(t.Context(), "/auth/login", b.credentials())
	b.must(err)
	for round := range 3 {
		var mu sync.Mutex
		var pairs []loginResponse
		var together sync.WaitGroup
		for range 20 {
			together.Go(func() {
				got, err := b.send(t.Context(), "/auth/refresh", url.Values{"refresh_token": {login.RefreshToken}})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case got.status == http.StatusOK:
					pairs = append(pairs, got)
				case got.status != http.StatusUnauthorized:
					t.Errorf("%d %s", got.status, got.body)
				}
			})
		}
		together.Wait()
		if len(pairs) == 0 {
			t.Fatalf("round %d: no request got a pair", round)
		}
		b.eventually("one login is left", func(ctx context.Context) bool { return len(b.loginRecords(ctx)) == 1 })
		var live []loginResponse
		for _, pair := range pairs {
			if b.verifyToken(pair.Token, "", "192.0.2.1").status == http.StatusOK {
				live = append(live, pair)
			}
		}
		t.Logf("round %d: of 20 requests %d got a pair", round, len(pairs))
		if len(live) != 1 {
			t.Fatalf("round %d: of %d pairs that were given, %d are good", round, len(pairs), len(live))
		}
		login = live[0]
	}
	if got, err := b.send(t.Context(), "/auth/refresh", url.Values{"refresh_token": {login.RefreshToken}}); err != nil || got.status != http.StatusOK {
		t.Errorf("the session is over: %d %s %v", got.status, got.body, err)
	}
}

func TestSession_IdleTimeoutCountsUseOnAllReplicas(t *testing.T) {
	const idle = 5 * time.Second
	all := startThreeReplicas(t)
	w := newTenant(t, all[0])
	w.editClient(fmt.Sprintf(`{logins: {idleTimeout: %s}}`, idle))
	p := w.newUser("alice")
	for _, op := range all {
		p.atReplica(op).waitKnown()
		w.eventually("the client's time-out is known", func(context.Context) bool {
			c, _ := op.Directory.Client(w.name)
			return c.IdleTimeout == idle
		})
	}
	session := p.mustRequest(http.MethodGet, "/security/rest/token/access/session/60", p.basicAuth(), nil)
	began, turn, last := time.Now(), 0, time.Time{}
	p.eventually("it was in use, at one after the other, for three times as long as it may be idle", func(context.Context) bool {
		if time.Since(last) < idle/2 { // less often than each replica alone would need
			return false
		}
		last = time.Now()
		if got := p.atReplica(all[turn%len(all)]).sessionStatus(session); got != http.StatusOK {
			t.Fatalf("%s after its beginning, in use each %s, replica %d answers %d", time.Since(began), idle/2, turn%len(all), got)
		}
		turn++
		return time.Since(began) > 3*idle
	})
	// No request is made until the session must be over: a request would be a use.
	p.eventually("it is idle for long enough", func(context.Context) bool { return time.Since(last) > idle+idle/2 })
	for i, op := range all {
		if got := p.atReplica(op).sessionStatus(session); got != http.StatusUnauthorized {
			t.Errorf("after %s without use, replica %d answers %d", time.Since(last), i, got)
		}
	}
}

func TestLogin_LimitEndsOldestAcrossReplicas(t *testing.T) { // [row 10]
	const most, logins = 5, 60
	all := startThreeReplicas(t)
	w := newTenant(t, all[0])
	w.editClient(fmt.Sprintf(`{logins: {maxSessionsPerUser: %d}}`, most))
	b := newBalancedUser(t, w.newUser("alice"), all)
	for _, op := range all {
		w.eventually("the client's bound is known", func(context.Context) bool {
			c, _ := op.Directory.Client(w.name)
			return c.MaxSessions == most
		})
	}
	var opened atomic.Int64
	var callers sync.WaitGroup
	for range 6 {
		callers.Go(func() {
			for range logins / 6 {
				got, err := b.retryLimited(func() (loginResponse, error) { return b.send(t.Context(), "/auth/login", b.credentials()) })
				if err != nil || got.status != http.StatusOK {
					t.Errorf("%v %d %s", err, got.status, got.body)
					continue
				}
				opened.Add(1)
			}
		})
	}
	callers.Wait()
	if opened.Load() != logins {
		t.Fatalf("%d logins", opened.Load())
	}
	b.eventually("there are as many as there may be", func(ctx context.Context) bool { return len(b.loginRecords(ctx)) == most })
	last := b.logIn()
	b.eventually("the newest is among them, and the bound holds", func(ctx context.Context) bool { return len(b.loginRecords(ctx)) == most })
	if got := b.verifyToken(last.Token, "", "192.0.2.1"); got.status != http.StatusOK {
		t.Errorf("the newest: %d", got.status)
	}
}
