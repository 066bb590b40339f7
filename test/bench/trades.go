package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/token"
)

// pair is the response to a login or a refresh.
type pair struct {
	Token        string `json:"token"`
	RefreshToken string `json:"refreshToken"`
}

// made is the response to the creation of an application token.
type made struct {
	Token struct {
		Namespace string `json:"namespace"`
		Object    string `json:"object"`
	} `json:"applicationToken"`
}

// trade is an operation of clients that have logged in, and how often it is done per second.
type trade struct {
	name  string
	rates []float64 // of the operator, in each turn
	plain []float64 // of plain clients with the same writes
	cost  counts    // writes of all turns
}

// trades are measured in turns: through the operator, and as the same writes by as many plain
// clients.
type trades struct {
	*people
	n                       int // operations in each turn
	refresh, logout, create trade
	makers                  []pair // logins that create tokens, one for each client
}

// trade measures refreshes, logouts and the creation of application tokens. Each leads to writes.
func (p *people) trade(ctx context.Context, b *bench, r chapter) error {
	t := &trades{
		people: p, n: b.holders,
		refresh: trade{name: "refreshes"}, logout: trade{name: "logouts"}, create: trade{name: "application tokens made"},
	}
	for range p.clients {
		t.makers = append(t.makers, pair{})
	}
	if _, _, err := t.each(ctx, len(t.makers), func(l *line, i int) error { return l.ask(enter(quick, i), &t.makers[i]) }); err != nil {
		return err
	}
	for turn := range b.turns {
		if err := t.sessions(ctx); err != nil {
			return err
		}
		if err := t.tokens(ctx, turn); err != nil {
			return err
		}
	}
	for _, one := range []*trade{&t.refresh, &t.logout, &t.create} {
		for _, op := range sorted(one.cost.done) {
			r.add(one.name+": "+op.String()+" for each", float64(one.cost.done[op])/float64(t.n*b.turns), "writes")
		}
		for _, op := range sorted(one.cost.refused) {
			r.add(one.name+": "+op.String()+", refused by the API server", float64(one.cost.refused[op]), "writes")
		}
		r.beside(one.name+" a second, beside plain clients with the same writes", median(one.rates), "/s", median(one.plain), atLeast(0.5))
	}
	return nil
}

// enter returns the request of a login.
func enter(h hashing, i int) []byte {
	return request("POST", "/auth/login", "", "application/json", fmt.Sprintf(`{"username":%q,"password":%q}`, h.user(i), theirWord))
}

// sessions measures the refresh and the logout of logins that it opens.
func (t *trades) sessions(ctx context.Context) error {
	held, its := make([]pair, t.n), make([]*copies, t.n)
	if _, _, err := t.each(ctx, t.n, func(l *line, i int) error { return l.ask(enter(quick, i), &held[i]) }); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	for i := range its {
		its[i] = &copies{}
	}
	from, err := t.recordOf(ctx, held[0])
	if err != nil {
		return err
	}
	if _, _, err := t.repeat(ctx, from, counts{done: map[operation]int{addRecord: t.n}}, its); err != nil {
		return err
	}
	err = t.compare(ctx, &t.refresh, its, func(l *line, i int) error {
		return l.ask(request("POST", "/auth/refresh", "", "application/json", fmt.Sprintf(`{"refresh_token":%q}`, held[i].RefreshToken)), &held[i])
	}, func(ctx context.Context) (*sample, error) { return t.recordOf(ctx, held[0]) })
	if err != nil {
		return err
	}
	return t.compare(ctx, &t.logout, its, func(l *line, i int) error {
		return l.ask(request("GET", "/security/rest/token/logout", held[i].Token, "", ""), &struct{}{})
	}, func(context.Context) (*sample, error) { return from, nil })
}

// recordOf reads the record of a login.
func (t *trades) recordOf(ctx context.Context, held pair) (*sample, error) {
	_, digest, err := token.DigestOf(held.Token)
	if err != nil {
		return nil, err
	}
	from := &sample{}
	return from, t.clients[0].Get(ctx, client.ObjectKey{Namespace: ownNamespace, Name: digest.RecordName()}, &from.record)
}

// tokens measures the creation of application tokens, by clients that have logged in.
func (t *trades) tokens(ctx context.Context, turn int) error {
	its, first := make([]*copies, t.n), made{}
	for i := range its {
		its[i] = &copies{name: fmt.Sprintf("made-%02d-%05d", turn, i)}
	}
	const body = `{"roles":["primary"],"permissions":["search.query"],"lifetime":"720h"}`
	return t.compare(ctx, &t.create, its, func(l *line, i int) error {
		path := "/application-tokens/v1/clients/" + peopleClient + "/application-token/" + its[i].name
		var answer made
		err := l.ask(request("PUT", path, t.makers[i%len(t.makers)].Token, "application/json", body), &answer)
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
func (t *trades) compare(ctx context.Context, one *trade, its []*copies, once func(*line, int) error, like func(context.Context) (*sample, error)) error {
	rate, cost, err := t.each(ctx, t.n, once)
	if err != nil {
		return fmt.Errorf("%s: %w", one.name, err)
	}
	if _, err := t.restFor(ctx, time.Second, restPatience); err != nil {
		return err
	}
	from, err := like(ctx)
	if err != nil {
		return fmt.Errorf("%s: look at what was written: %w", one.name, err)
	}
	_, took, err := t.repeat(ctx, from, cost, its)
	if err != nil {
		return fmt.Errorf("%s, by plain clients: %w", one.name, err)
	}
	plain := float64(t.n) / took.Seconds()
	t.say("%s: %.0f a second, by plain clients %.0f", one.name, rate, plain)
	one.rates, one.plain = append(one.rates, rate), append(one.plain, plain)
	one.cost = one.cost.and(cost)
	return nil
}

// each calls once n times, from as many clients as there are plain clients, each over a connection
// of its own. It returns the calls per second and what the API server wrote meanwhile. Any response
// other than success is an error.
func (p *people) each(ctx context.Context, n int, once func(*line, int) error) (rate float64, cost counts, err error) {
	lines := map[client.Client]*line{}
	for _, c := range p.clients {
		if lines[c], err = dial(ctx, p.door); err != nil {
			return 0, cost, err
		}
		defer lines[c].conn.Close()
	}
	before, err := p.writes(ctx)
	if err != nil {
		return 0, cost, err
	}
	began := time.Now()
	err = p.all(ctx, "askers", n, func(_ context.Context, c client.Client, i int) error { return once(lines[c], i) })
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
