package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/token"
)

// tokenPair is the response to a login or a refresh.
type tokenPair struct {
	Token        string `json:"token"`
	RefreshToken string `json:"refreshToken"`
}

// createdToken is the response to the creation of an application token.
type createdToken struct {
	Token struct {
		Namespace string `json:"namespace"`
		Object    string `json:"object"`
	} `json:"applicationToken"`
}

// scenario is an operation of clients that have logged in, and how often it is done per second.
type scenario struct {
	name  string
	rates []float64 // of the operator, in each turn
	plain []float64 // of plain clients with the same writes
	cost  counts    // writes of all turns
}

// mixedLogins are measured in turns: through the operator, and as the same writes by as many plain
// clients.
type mixedLogins struct {
	*loginUsers
	n                       int // operations in each turn
	refresh, logout, create scenario
	creators                []tokenPair // logins that create tokens, one for each client
}

// measureMixedLogins measures refreshes, logouts and the creation of application tokens. Each leads
// to writes.
func (p *loginUsers) measureMixedLogins(ctx context.Context, b *bench, r reportSection) error {
	t := &mixedLogins{
		loginUsers: p, n: b.holders,
		refresh: scenario{name: "refreshes"}, logout: scenario{name: "logouts"}, create: scenario{name: "application tokens made"},
	}
	for range p.clients {
		t.creators = append(t.creators, tokenPair{})
	}
	if _, _, err := t.perform(ctx, len(t.creators), func(l *httpConn, i int) error { return l.ask(loginRequest(quickHash, i), &t.creators[i]) }); err != nil {
		return err
	}
	for turn := range b.turns {
		if err := t.refreshAndLogOut(ctx); err != nil {
			return err
		}
		if err := t.createTokens(ctx, turn); err != nil {
			return err
		}
	}
	for _, one := range []*scenario{&t.refresh, &t.logout, &t.create} {
		for _, op := range byFrequency(one.cost.done) {
			r.add(one.name+": "+op.String()+" for each", float64(one.cost.done[op])/float64(t.n*b.turns), "writes")
		}
		for _, op := range byFrequency(one.cost.refused) {
			r.add(one.name+": "+op.String()+", refused by the API server", float64(one.cost.refused[op]), "writes")
		}
		r.addRatio(one.name+" a second, beside plain clients with the same writes", median(one.rates), "/s", median(one.plain), atLeast(0.5))
	}
	return nil
}

// loginRequest returns the request of a login.
func loginRequest(h hashing, i int) []byte {
	return rawRequest("POST", "/auth/login", "", "application/json", fmt.Sprintf(`{"username":%q,"password":%q}`, h.user(i), userPassword))
}

// refreshAndLogOut measures the refresh and the logout of logins that it opens.
func (t *mixedLogins) refreshAndLogOut(ctx context.Context) error {
	held, its := make([]tokenPair, t.n), make([]*plainToken, t.n)
	if _, _, err := t.perform(ctx, t.n, func(l *httpConn, i int) error { return l.ask(loginRequest(quickHash, i), &held[i]) }); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	for i := range its {
		its[i] = &plainToken{}
	}
	from, err := t.recordOf(ctx, held[0])
	if err != nil {
		return err
	}
	if _, _, err := t.repeatWrites(ctx, from, counts{done: map[operation]int{addRecord: t.n}}, its); err != nil {
		return err
	}
	err = t.compare(ctx, &t.refresh, its, func(l *httpConn, i int) error {
		return l.ask(rawRequest("POST", "/auth/refresh", "", "application/json", fmt.Sprintf(`{"refresh_token":%q}`, held[i].RefreshToken)), &held[i])
	}, func(ctx context.Context) (*sample, error) { return t.recordOf(ctx, held[0]) })
	if err != nil {
		return err
	}
	return t.compare(ctx, &t.logout, its, func(l *httpConn, i int) error {
		return l.ask(rawRequest("GET", "/security/rest/token/logout", held[i].Token, "", ""), &struct{}{})
	}, func(context.Context) (*sample, error) { return from, nil })
}

// recordOf reads the record of a login.
func (t *mixedLogins) recordOf(ctx context.Context, held tokenPair) (*sample, error) {
	_, digest, err := token.DigestOf(held.Token)
	if err != nil {
		return nil, err
	}
	from := &sample{}
	return from, t.clients[0].Get(ctx, client.ObjectKey{Namespace: ownNamespace, Name: digest.RecordName()}, &from.record)
}

// createTokens measures the creation of application tokens, by clients that have logged in.
func (t *mixedLogins) createTokens(ctx context.Context, turn int) error {
	its, first := make([]*plainToken, t.n), createdToken{}
	for i := range its {
		its[i] = &plainToken{name: fmt.Sprintf("made-%02d-%05d", turn, i)}
	}
	const body = `{"roles":["primary"],"permissions":["search.query"],"lifetime":"720h"}`
	return t.compare(ctx, &t.create, its, func(l *httpConn, i int) error {
		path := "/application-tokens/v1/clients/" + loginClient + "/application-token/" + its[i].name
		var answer createdToken
		err := l.ask(rawRequest("PUT", path, t.creators[i%len(t.creators)].Token, "application/json", body), &answer)
		if i == 0 {
			first = answer
		}
		return err
	}, func(ctx context.Context) (*sample, error) {
		return t.sample(ctx, client.ObjectKey{Namespace: first.Token.Namespace, Name: first.Token.Object})
	})
}

// compare measures an operation through the operator and then, when all is at rest, the same writes
// by plain clients. These are the writes up to the last response, the status of tokens and events
// among them. Plain clients leave out the writes to users, clients and last uses, so any bias is
// against the operator.
func (t *mixedLogins) compare(ctx context.Context, one *scenario, its []*plainToken, once func(*httpConn, int) error, like func(context.Context) (*sample, error)) error {
	rate, cost, err := t.perform(ctx, t.n, once)
	if err != nil {
		return fmt.Errorf("%s: %w", one.name, err)
	}
	if _, err := t.waitQuietFor(ctx, time.Second, restPatience); err != nil {
		return err
	}
	from, err := like(ctx)
	if err != nil {
		return fmt.Errorf("%s: look at what was written: %w", one.name, err)
	}
	_, took, err := t.repeatWrites(ctx, from, cost, its)
	if err != nil {
		return fmt.Errorf("%s, by plain clients: %w", one.name, err)
	}
	plain := float64(t.n) / took.Seconds()
	t.logf("%s: %.0f a second, by plain clients %.0f", one.name, rate, plain)
	one.rates, one.plain = append(one.rates, rate), append(one.plain, plain)
	one.cost = one.cost.plus(cost)
	return nil
}

// perform calls once n times, from as many clients as there are plain clients, each over a
// connection of its own. It returns the calls per second and what the API server wrote meanwhile.
// Any response other than success is an error.
func (p *loginUsers) perform(ctx context.Context, n int, once func(*httpConn, int) error) (rate float64, cost counts, err error) {
	lines := map[client.Client]*httpConn{}
	for _, c := range p.clients {
		if lines[c], err = dialHTTP(ctx, p.endpoint); err != nil {
			return 0, cost, err
		}
		defer lines[c].close()
	}
	before, err := p.writes(ctx)
	if err != nil {
		return 0, cost, err
	}
	began := time.Now()
	err = p.inParallel(ctx, "askers", n, func(_ context.Context, c client.Client, i int) error { return once(lines[c], i) })
	took := time.Since(began)
	if err != nil {
		return 0, cost, err
	}
	after, err := p.writes(ctx)
	return float64(n) / took.Seconds(), after.since(before), err
}

// median returns the median of a list. If the list has an even length, it returns the upper of the
// two in the middle.
func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
