package logins

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

// measureLoginFlood compares how long other users' logins take while one user sends the correct
// password without end, and without that.
func (p *loginUsers) measureLoginFlood(ctx context.Context, b *scenario.Run, r report.Table, h scenario.Hashing) error {
	var others [][]byte
	for i := 1; i < scenario.UsersPerHash; i++ { // the first user sends the flood
		others = append(others, loginRequest(h, i))
	}
	login := load.HTTPTarget("logins of others", p.endpoint, others)
	var quiet, flooded []time.Duration
	for range b.Turns {
		v, err := login.Run(ctx, b.LoginTurn)
		if err != nil {
			return err
		}
		quiet = append(quiet, v.P99)
		floodCtx, endFlood := context.WithCancel(ctx)
		over := make(chan error)
		go func() { over <- p.floodOneUser(floodCtx, h) }()
		v, err = login.Run(ctx, b.LoginTurn)
		endFlood()
		if err := errors.Join(err, <-over); err != nil {
			return err
		}
		flooded = append(flooded, v.P99)
	}
	r.AddRatio("login, "+h.Label+", p99 of others in a flood of one user, beside none", report.Milliseconds(report.Percentile(flooded, 50)), "ms", report.Milliseconds(report.Percentile(quiet, 50)), report.AtMost(3))
	return nil
}

// floodOneUser sends the correct password of the first user, over many connections, until ctx
// ends. With auth_only, the operator checks the password and opens no login.
func (p *loginUsers) floodOneUser(ctx context.Context, h scenario.Hashing) error {
	body := fmt.Sprintf(`{"username":%q,"password":%q,"auth_only":true}`, h.User(0), scenario.UserPassword)
	check := load.RawRequest("POST", "/auth/login", "", "application/json", body)
	var mu sync.Mutex
	var problem error
	var flood sync.WaitGroup
	for range load.Concurrency {
		flood.Go(func() {
			l, err := load.Dial(ctx, p.endpoint)
			if err == nil {
				defer l.Close()
			}
			for err == nil && ctx.Err() == nil {
				_, _, err = l.Send(check) // any status will do
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
