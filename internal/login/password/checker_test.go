package password_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apptoken/operator/internal/login/password"
)

// blockingChecker is a Checker whose checks run until the test releases them.
type blockingChecker struct {
	*password.Checker
	ctx       context.Context
	stored    password.Stored
	nameCount int           // number of names used, each once
	release   chan bool     // a check ends with the value that is sent
	started   chan struct{} // one value for each check that runs, or ran
	ended     chan error    // one value for each check that returned
}

func newBlockingChecker(t *testing.T, slots, waiting int) *blockingChecker {
	c := &blockingChecker{
		Checker: password.NewChecker(password.Options{Slots: slots, MaxWaiting: waiting, MaxPerSource: 1000}), ctx: t.Context(),
		release: make(chan bool), started: make(chan struct{}, 1000), ended: make(chan error, 1000),
	}
	c.SetCompare(func() bool {
		c.started <- struct{}{}
		return <-c.release
	})
	return c
}

// start starts n more checks, and waits until none makes progress.
func (c *blockingChecker) start(ctx context.Context, n int) {
	for range n {
		c.nameCount++
		name := fmt.Sprint("name ", c.nameCount)
		go func() {
			_, err := c.Check(ctx, password.Check{Name: name, Stored: c.stored})
			c.ended <- err
		}()
	}
	synctest.Wait()
}

// expect asserts how many checks began and returned in total.
func (c *blockingChecker) expect(t *testing.T, when string, started, ended int) {
	t.Helper()
	synctest.Wait()
	if len(c.started) != started || len(c.ended) != ended {
		t.Errorf("%s: %d checks began and %d were answered, want %d and %d", when, len(c.started), len(c.ended), started, ended)
	}
}

func TestChecker_BoundsRunningAndWaiting(t *testing.T) {
	for how, c := range map[string]struct{ slots, waiting, run, wait int }{
		"some of both":               {3, 5, 3, 5},
		"no check waits":             {2, 0, 2, 0},
		"less than one slot is one":  {-1, 2, 1, 2},
		"less than none waits: none": {1, -3, 1, 0},
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				blocking := newBlockingChecker(t, c.slots, c.waiting)
				blocking.start(t.Context(), c.run+c.wait)
				blocking.expect(t, "all that may be there", c.run, 0)
				blocking.start(t.Context(), 4)
				blocking.expect(t, "four too many", c.run, 4)
				for range 4 {
					if err := <-blocking.ended; !errors.Is(err, password.ErrBusy) {
						t.Errorf("a check too many gets %v", err)
					}
				}
				for n := range c.wait {
					blocking.release <- true
					blocking.expect(t, "one leaves and one moves up", c.run+n+1, n+1)
				}
				for range c.run {
					blocking.release <- true
				}
				blocking.expect(t, "all leave", c.run+c.wait, c.run+c.wait)
				blocking.start(t.Context(), c.run+c.wait)
				blocking.expect(t, "and as many may come again", c.run+c.wait+c.run, c.run+c.wait)
				for range c.run + c.wait {
					blocking.release <- true
				}
			})
		})
	}
}

// The memory of the running checks is bounded, whatever the hashes ask for.
func TestChecker_LargeHashTakesMoreSlots(t *testing.T) {
	const mebibyte = 1 << 10 // in KiB, as m is written
	for what, c := range map[string]struct{ m, slots, run int }{
		"one of the defaults":        {19 * mebibyte, 8, 8},
		"one that fills its slot":    {64 * mebibyte, 8, 8},
		"one of a little more":       {64*mebibyte + 4, 8, 4},
		"one of four times as much":  {256 * mebibyte, 8, 2},
		"more than there is for all": {256 * mebibyte, 3, 1},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				blocking := newBlockingChecker(t, c.slots, 20)
				var err error
				if blocking.stored, err = password.ParseHash(fmt.Sprintf("$argon2id$v=19$m=%d,t=1,p=1$c2FsdHNhbHQ$%s", c.m, strings.Repeat("A", 43))); err != nil {
					t.Fatal(err)
				}
				blocking.start(t.Context(), 20)
				blocking.expect(t, "as many as there is memory for", c.run, 0)
				for range 20 {
					blocking.release <- true
				}
				blocking.expect(t, "all have their turn", 20, 20)
			})
		})
	}
}

func TestChecker_CanceledWaiterLeavesQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocking := newBlockingChecker(t, 1, 2)
		blocking.start(t.Context(), 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		blocking.start(ctx, 2)
		blocking.expect(t, "two wait", 1, 0)
		<-ctx.Done()
		blocking.expect(t, "two have waited enough", 1, 2)
		for range 2 {
			if err := <-blocking.ended; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a check that waited too long gets %v", err)
			}
		}
		blocking.start(t.Context(), 2)
		blocking.expect(t, "two others wait", 1, 0)
		for range 3 {
			blocking.release <- true
		}
		blocking.expect(t, "all have been checked", 3, 3)
	})
}

func TestChecker_CanceledRequestIsNotChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocking := newBlockingChecker(t, 8, 8)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		blocking.start(ctx, 8)
		blocking.expect(t, "all slots are free", 0, 8)
		if err := <-blocking.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that has gone gets %v", err)
		}
	})
}

func TestChecker_RunningCheckIsNotInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocking := newBlockingChecker(t, 1, 0)
		ctx, cancel := context.WithCancel(t.Context())
		blocking.start(ctx, 1)
		cancel()
		blocking.expect(t, "while it runs", 1, 0)
		blocking.release <- true
		if err := <-blocking.ended; err != nil {
			t.Errorf("it gets %v", err)
		}
	})
}

func TestChecker_PanicReturnsSlot(t *testing.T) {
	c := password.NewChecker(password.Options{Slots: 1})
	for range 3 {
		func() {
			defer func() { _ = recover() }()
			c.SetCompare(func() bool { panic("out of luck") })
			_, err := c.Check(t.Context(), password.Check{})
			t.Errorf("no panic, and %v", err)
		}()
	}
	c.SetCompare(func() bool { return true })
	if ok, err := c.Check(t.Context(), password.Check{}); !ok || err != nil {
		t.Errorf("after it: %v, %v", ok, err)
	}
}

// Many guesses that wait together were allowed together: each is checked once more when its turn
// comes.
func TestChecker_RecheckErrorPreventsCheck(t *testing.T) {
	c := password.NewChecker(password.Options{Slots: 1})
	c.SetCompare(func() bool { t.Error("it was checked"); return true })
	spent := errors.New("spent")
	if ok, err := c.Check(t.Context(), password.Check{Recheck: func() error { return spent }}); ok || !errors.Is(err, spent) {
		t.Errorf("%v, %v", ok, err)
	}
	c.SetCompare(func() bool { return true })
	if ok, err := c.Check(t.Context(), password.Check{}); !ok || err != nil {
		t.Errorf("after it: %v, %v", ok, err)
	}
}
