package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
)

// garbage is how many times the memory of the running checks may be in use. A collection keeps what
// is in use, and what is allocated while it runs. That is assumed to be three times the memory of
// the checks. As much again is allocated before the next collection, since GOGC is 100.
const garbage = 6

// crush logs in many times at once, at an operator that has just started. It compares the maximum
// memory of the operator with that for as many logins whose hash takes almost none. The operator
// must refuse a login that it cannot serve with 429 or 503.
func (p *people) crush(ctx context.Context, b *bench, r chapter, h hashing) error {
	if err := p.stopOperator(); err != nil {
		return err
	}
	if err := p.openDoor(ctx); err != nil {
		return err
	}
	base, _, err := p.rush(ctx, b.parallel, quick)
	if err != nil {
		return err
	}
	most, in, err := p.rush(ctx, b.parallel, h)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%d logins at once", b.parallel)
	hash := float64(p.stored[h.users].Memory()) / (1 << 20)
	r.add(name+", "+h.says+": logged in, and not refused", float64(in), "")
	r.add("memory of the operator under "+name+", "+quick.says, base, "MiB")
	r.beside(
		fmt.Sprintf("memory of the operator under %s, %s, beside that and %d times what the checks take", name, h.says, garbage),
		most, "MiB", base+garbage*float64(p.checks)*hash, atMost(1),
	)
	return nil
}

// rush logs in n times at once. It returns the maximum memory of the operator meanwhile, in MiB,
// and how many logins succeeded.
func (p *people) rush(ctx context.Context, n int, h hashing) (most float64, in int, err error) {
	pid := p.operator.command.Process.Pid
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil { // resets the maximum
		p.say("the most memory is that since the start: %v", err)
	}
	statuses, err := p.atOnce(ctx, n, h)
	if err != nil {
		return 0, 0, err
	}
	for status, times := range statuses {
		p.say("%s: %d of %d logins at once are answered by %d", h.says, times, n, status)
		if status != http.StatusOK && status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
			return 0, 0, fmt.Errorf("%d of %d logins at once are answered by %d", times, n, status)
		}
	}
	_, most = resident(pid)
	return most, statuses[http.StatusOK], nil
}

// atOnce logs in n times at once, each time over a connection of its own. It returns how many
// responses had each status.
func (p *people) atOnce(ctx context.Context, n int, h hashing) (map[int]int, error) {
	var mu sync.Mutex
	var problem error
	statuses := map[int]int{}
	var coming sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		l, err := dial(ctx, p.door)
		if err != nil {
			problem = errors.Join(problem, err)
			break
		}
		defer l.conn.Close()
		coming.Go(func() {
			<-begin
			status, _, err := l.send(enter(h, i))
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
			problem = errors.Join(problem, err)
		})
	}
	close(begin)
	coming.Wait()
	return statuses, problem
}
