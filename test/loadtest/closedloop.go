package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// loadResult is the result of the requests that were sent to one target.
type loadResult struct {
	rate float64 // responses per second
	p99  time.Duration
}

// loadTarget is a target of requests. The first of several is measured; the others are its limits.
type loadTarget struct {
	name   string
	ask    func(ctx context.Context, worker int) (once func() error, leave func(), err error)
	before func(ctx context.Context) error // each of its turns; nil: none
}

// concurrency is how many clients send requests at once.
const concurrency = 8

// turnPlan is how often each of several targets has its turn, and how long a turn lasts.
type turnPlan struct {
	turns int
	turn  time.Duration
	logf  func(format string, args ...any)
}

// compareLoad measures all targets in turns, so that other load on the machine affects them alike.
// It returns the median of the turns of each.
func (p turnPlan) compareLoad(ctx context.Context, targets ...loadTarget) ([]loadResult, error) {
	turns := make([][]loadResult, len(targets))
	for range p.turns {
		for i, c := range targets {
			if c.before != nil {
				if err := c.before(ctx); err != nil {
					return nil, err
				}
			}
			v, err := c.run(ctx, p.turn)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			turns[i] = append(turns[i], v)
		}
	}
	medians := make([]loadResult, len(targets))
	for i, list := range turns {
		slices.SortFunc(list, func(a, b loadResult) int { return int(a.rate - b.rate) })
		medians[i].rate = list[len(list)/2].rate
		slices.SortFunc(list, func(a, b loadResult) int { return int(a.p99 - b.p99) })
		medians[i].p99 = list[len(list)/2].p99
		p.logf("%s: %.0f a second, p99 %s", targets[i].name, medians[i].rate, medians[i].p99)
	}
	return medians, nil
}

// run sends requests for the time d. Each of several clients waits for its response before it
// sends the next request.
func (c loadTarget) run(ctx context.Context, d time.Duration) (loadResult, error) {
	var mu sync.Mutex
	var took []time.Duration
	var problem error
	var over atomic.Bool
	var asking, ready sync.WaitGroup
	begin := make(chan struct{})
	ready.Add(concurrency)
	for worker := range concurrency {
		asking.Go(func() {
			once, leave, err := c.ask(ctx, worker)
			ready.Done()
			if err == nil {
				defer leave()
			}
			mine := make([]time.Duration, 0, 1<<16)
			<-begin
			for err == nil && !over.Load() {
				began := time.Now()
				err = once()
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			problem, took = errors.Join(problem, err), append(took, mine...)
		})
	}
	ready.Wait()
	began := time.Now()
	close(begin)
	err := sleep(ctx, d)
	over.Store(true)
	asking.Wait()
	lasted := time.Since(began)
	if err := errors.Join(err, problem); err != nil {
		return loadResult{}, err
	}
	return loadResult{rate: float64(len(took)) / lasted.Seconds(), p99: percentile(took, 99)}, nil
}

// httpTarget returns a target that gets the requests, one after another from the list, over
// connections that stay open. The client parses only the status and the length of a response, so
// that the processor time is the server's.
func httpTarget(name, address string, requests [][]byte) loadTarget {
	return loadTarget{name: name, ask: func(ctx context.Context, worker int) (func() error, func(), error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, nil, err
		}
		answers := bufio.NewReaderSize(conn, 16<<10)
		next := worker * len(requests) / concurrency
		once := func() error {
			if _, err := conn.Write(requests[next]); err != nil {
				return err
			}
			if next++; next == len(requests) {
				next = 0
			}
			return readAnswer(answers)
		}
		return once, func() { _ = conn.Close() }, nil
	}}
}

// readAnswer reads a response that has status 200 and states its length.
func readAnswer(from *bufio.Reader) error {
	length, first := 0, true
	for {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch line = bytes.TrimRight(line, "\r\n"); {
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")):
			return fmt.Errorf("the answer is %s", line)
		case first:
			first = false
		case len(line) == 0:
			_, err := io.CopyN(io.Discard, from, int64(length))
			return err
		case bytes.HasPrefix(line, []byte("Content-Length: ")):
			if length, err = strconv.Atoi(string(line[len("Content-Length: "):])); err != nil {
				return err
			}
		}
	}
}
