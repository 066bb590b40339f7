package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// measureLoginFlood compares how long other users' logins take while one user sends the correct
// password without end, and without that.
func (p *loginUsers) measureLoginFlood(ctx context.Context, b *bench, r reportSection, h hashing) error {
	var others [][]byte
	for i := 1; i < usersPerHash; i++ { // the first user sends the flood
		others = append(others, loginRequest(h, i))
	}
	login := httpTarget("logins of others", p.endpoint, others)
	var quiet, flooded []time.Duration
	for range b.turns {
		v, err := login.run(ctx, b.loginTurn)
		if err != nil {
			return err
		}
		quiet = append(quiet, v.p99)
		floodCtx, endFlood := context.WithCancel(ctx)
		over := make(chan error)
		go func() { over <- p.floodOneUser(floodCtx, h) }()
		v, err = login.run(ctx, b.loginTurn)
		endFlood()
		if err := errors.Join(err, <-over); err != nil {
			return err
		}
		flooded = append(flooded, v.p99)
	}
	r.addRatio("login, "+h.label+", p99 of others in a flood of one user, beside none", milliseconds(percentile(flooded, 50)), "ms", milliseconds(percentile(quiet, 50)), atMost(3))
	return nil
}

// floodOneUser sends the correct password of the first user, over many connections, until ctx
// ends. With auth_only, the operator checks the password and opens no login.
func (p *loginUsers) floodOneUser(ctx context.Context, h hashing) error {
	body := fmt.Sprintf(`{"username":%q,"password":%q,"auth_only":true}`, h.user(0), userPassword)
	check := rawRequest("POST", "/auth/login", "", "application/json", body)
	var mu sync.Mutex
	var problem error
	var flood sync.WaitGroup
	for range concurrency {
		flood.Go(func() {
			l, err := dialHTTP(ctx, p.endpoint)
			if err == nil {
				defer l.close()
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
