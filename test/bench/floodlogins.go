package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// floodLogins compares how long other users' logins take while one user sends the correct password
// without end, and without that.
func (p *people) floodLogins(ctx context.Context, b *bench, r chapter, h hashing) error {
	var others [][]byte
	for i := 1; i < usersEach; i++ { // the first user sends the flood
		others = append(others, enter(h, i))
	}
	login := overHTTP("logins of others", p.door, others)
	var quiet, flooded []time.Duration
	for range b.turns {
		v, err := login.fire(ctx, b.loginTurn)
		if err != nil {
			return err
		}
		quiet = append(quiet, v.p99)
		rising, ebb := context.WithCancel(ctx)
		over := make(chan error)
		go func() { over <- p.sendWithoutEnd(rising, h) }()
		v, err = login.fire(ctx, b.loginTurn)
		ebb()
		if err := errors.Join(err, <-over); err != nil {
			return err
		}
		flooded = append(flooded, v.p99)
	}
	r.beside("login, "+h.says+", p99 of others in a flood of one user, beside none", millis(percentile(flooded, 50)), "ms", millis(percentile(quiet, 50)), atMost(3))
	return nil
}

// sendWithoutEnd sends the correct password of the first user, over many connections, until ctx
// ends. With auth_only, the operator checks the password and opens no login.
func (p *people) sendWithoutEnd(ctx context.Context, h hashing) error {
	body := fmt.Sprintf(`{"username":%q,"password":%q,"auth_only":true}`, h.user(0), theirWord)
	check := request("POST", "/auth/login", "", "application/json", body)
	var mu sync.Mutex
	var problem error
	var flood sync.WaitGroup
	for range askers {
		flood.Go(func() {
			l, err := dial(ctx, p.door)
			if err == nil {
				defer l.conn.Close()
			}
			for err == nil && ctx.Err() == nil {
				_, _, err = l.send(check) // any status will do
			}
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() == nil {
				problem = errors.Join(problem, err)
			}
		})
	}
	flood.Wait()
	return problem
}
