package logins

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/testbed"
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

// mixedOperation is an operation of clients that have logged in, with its rate in each turn.
type mixedOperation struct {
	name  string
	rates []float64      // of the operator, in each turn
	plain []float64      // of plain clients with the same writes
	cost  testbed.Counts // writes of all turns
}

// mixedLogins are measured in turns: through the operator, and as the same writes by as many plain
// clients.
type mixedLogins struct {
	*loginUsers
	n                       int // operations in each turn
	refresh, logout, create mixedOperation
	creators                []tokenPair // logins that create tokens, one for each client
}

// measureMixedLogins measures refreshes, logouts and the creation of application tokens. Each leads
// to writes.
func (p *loginUsers) measureMixedLogins(ctx context.Context, b *scenario.Run, r report.Table) error {
	t := &mixedLogins{
		loginUsers: p, n: b.Holders,
		refresh: mixedOperation{name: "refreshes"}, logout: mixedOperation{name: "logouts"}, create: mixedOperation{name: "application tokens made"},
	}
	for range p.Clients {
		t.creators = append(t.creators, tokenPair{})
	}
	if _, _, err := t.perform(ctx, len(t.creators), func(l *load.Conn, i int) error { return l.Ask(loginRequest(scenario.QuickHash, i), &t.creators[i]) }); err != nil {
		return err
	}
	for turn := range b.Turns {
		if err := t.refreshAndLogOut(ctx); err != nil {
			return err
		}
		if err := t.createTokens(ctx, turn); err != nil {
			return err
		}
	}
	for _, one := range []*mixedOperation{&t.refresh, &t.logout, &t.create} {
		for _, op := range testbed.ByFrequency(one.cost.Done) {
			r.Add(one.name+": "+op.String()+" for each", float64(one.cost.Done[op])/float64(t.n*b.Turns), "writes")
		}
		for _, op := range testbed.ByFrequency(one.cost.Refused) {
			r.Add(one.name+": "+op.String()+", refused by the API server", float64(one.cost.Refused[op]), "writes")
		}
		r.AddRatio(one.name+" a second, beside plain clients with the same writes", report.Median(one.rates), "/s", report.Median(one.plain), report.AtLeast(0.5))
	}
	return nil
}

// loginRequest returns the request of a login.
func loginRequest(h scenario.Hashing, i int) []byte {
	return load.RawRequest("POST", "/auth/login", "", "application/json", fmt.Sprintf(`{"username":%q,"password":%q}`, h.User(i), scenario.UserPassword))
}

// refreshAndLogOut measures the refresh and the logout of logins that it opens.
func (t *mixedLogins) refreshAndLogOut(ctx context.Context) error {
	held, its := make([]tokenPair, t.n), make([]*testbed.PlainToken, t.n)
	if _, _, err := t.perform(ctx, t.n, func(l *load.Conn, i int) error { return l.Ask(loginRequest(scenario.QuickHash, i), &held[i]) }); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	for i := range its {
		its[i] = &testbed.PlainToken{}
	}
	from, err := t.recordOf(ctx, held[0])
	if err != nil {
		return err
	}
	if _, _, err := t.RepeatWrites(ctx, from, testbed.Counts{Done: map[testbed.Operation]int{testbed.AddRecord: t.n}}, its); err != nil {
		return err
	}
	err = t.compare(ctx, &t.refresh, its, func(l *load.Conn, i int) error {
		return l.Ask(load.RawRequest("POST", "/auth/refresh", "", "application/json", fmt.Sprintf(`{"refresh_token":%q}`, held[i].RefreshToken)), &held[i])
	}, func(ctx context.Context) (*testbed.Sample, error) { return t.recordOf(ctx, held[0]) })
	if err != nil {
		return err
	}
	return t.compare(ctx, &t.logout, its, func(l *load.Conn, i int) error {
		return l.Ask(load.RawRequest("GET", "/security/rest/token/logout", held[i].Token, "", ""), &struct{}{})
	}, func(context.Context) (*testbed.Sample, error) { return from, nil })
}

// recordOf reads the record of a login.
func (t *mixedLogins) recordOf(ctx context.Context, held tokenPair) (*testbed.Sample, error) {
	_, digest, err := token.DigestOf(held.Token)
	if err != nil {
		return nil, err
	}
	from := &testbed.Sample{}
	return from, t.Clients[0].Get(ctx, client.ObjectKey{Namespace: testbed.OwnNamespace, Name: digest.RecordName()}, &from.Record)
}

// createTokens measures the creation of application tokens, by clients that have logged in.
func (t *mixedLogins) createTokens(ctx context.Context, turn int) error {
	its, first := make([]*testbed.PlainToken, t.n), createdToken{}
	for i := range its {
		its[i] = &testbed.PlainToken{Name: fmt.Sprintf("made-%02d-%05d", turn, i)}
	}
	const body = `{"roles":["primary"],"permissions":["search.query"],"lifetime":"720h"}`
	return t.compare(ctx, &t.create, its, func(l *load.Conn, i int) error {
		path := "/application-tokens/v1/clients/" + loginClient + "/application-token/" + its[i].Name
		var answer createdToken
		err := l.Ask(load.RawRequest("PUT", path, t.creators[i%len(t.creators)].Token, "application/json", body), &answer)
		if i == 0 {
			first = answer
		}
		return err
	}, func(ctx context.Context) (*testbed.Sample, error) {
		return t.ReadSample(ctx, client.ObjectKey{Namespace: first.Token.Namespace, Name: first.Token.Object})
	})
}

// compare measures an operation through the operator and then, when all is at rest, the same writes
// by plain clients. These are the writes up to the last response, the status of tokens and events
// among them. Plain clients leave out the writes to users, clients and last uses, so any bias is
// against the operator.
func (t *mixedLogins) compare(ctx context.Context, one *mixedOperation, its []*testbed.PlainToken, once func(*load.Conn, int) error, like func(context.Context) (*testbed.Sample, error)) error {
	rate, cost, err := t.perform(ctx, t.n, once)
	if err != nil {
		return fmt.Errorf("%s: %w", one.name, err)
	}
	if _, err := t.WaitQuietFor(ctx, time.Second, testbed.RestPatience); err != nil {
		return err
	}
	from, err := like(ctx)
	if err != nil {
		return fmt.Errorf("%s: look at what was written: %w", one.name, err)
	}
	_, took, err := t.RepeatWrites(ctx, from, cost, its)
	if err != nil {
		return fmt.Errorf("%s, by plain clients: %w", one.name, err)
	}
	plain := float64(t.n) / took.Seconds()
	t.Logf("%s: %.0f a second, by plain clients %.0f", one.name, rate, plain)
	one.rates, one.plain = append(one.rates, rate), append(one.plain, plain)
	one.cost = one.cost.Plus(cost)
	return nil
}

// perform calls once n times, from as many clients as there are plain clients, each over a
// connection of its own. It returns the calls per second and what the API server wrote meanwhile.
// Any response other than success is an error.
func (p *loginUsers) perform(ctx context.Context, n int, once func(*load.Conn, int) error) (rate float64, cost testbed.Counts, err error) {
	lines := map[client.Client]*load.Conn{}
	for _, c := range p.Clients {
		if lines[c], err = load.Dial(ctx, p.endpoint); err != nil {
			return 0, cost, err
		}
		defer lines[c].Close()
	}
	before, err := p.Writes(ctx)
	if err != nil {
		return 0, cost, err
	}
	began := time.Now()
	err = p.InParallel(ctx, "askers", n, func(_ context.Context, c client.Client, i int) error { return once(lines[c], i) })
	took := time.Since(began)
	if err != nil {
		return 0, cost, err
	}
	after, err := p.Writes(ctx)
	return float64(n) / took.Seconds(), after.Since(before), err
}
