package password

import (
	"context"
	"errors"
	"fmt"
)

// ErrBusy says that so many checks wait already that one more is not let in. Nothing was checked: a caller answers that it is
// overloaded, and counts no failure.
var ErrBusy = errors.New("too many password checks wait")

// Options of a Checker.
type Options struct {
	// Slots is how many checks run at once; less than one counts as one. What they hold in memory is at most Slots times the
	// largest Stored.Memory.
	Slots int
	// Waiting is how many checks wait for a slot at most; less than none counts as none.
	Waiting int
}

// Checker checks passwords, so many at once. It is safe for many goroutines, has none of its own, and needs no closing.
type Checker struct {
	places chan struct{} // held while a check waits or runs
	slots  chan struct{} // held while it runs
	weigh  func(Stored, Secret) bool
}

// NewChecker returns a Checker with all its slots free.
func NewChecker(o Options) *Checker {
	slots := max(o.Slots, 1)
	return &Checker{
		places: make(chan struct{}, slots+max(o.Waiting, 0)),
		slots:  make(chan struct{}, slots),
		weigh:  weigh,
	}
}

// Check says whether presented is the password that is stored. It works on the goroutine of its caller, first come, first
// served. It takes as long for a wrong password as for the right one, and for one that Presented would refuse, which matches
// nothing.
//
// Once there is a slot, the check happens only if still says nil: while it waited, others may have used up what is allowed.
//
// An error means that nothing was checked: ErrBusy, that of still, or that of ctx, wrapped, when it ended before a slot was free.
// A check that runs is not interrupted; the bounds of ReadHash keep it short.
func (c *Checker) Check(ctx context.Context, stored Stored, presented Secret, still func() error) (bool, error) {
	if err := c.enter(ctx); err != nil {
		return false, err
	}
	defer c.leave()
	if err := still(); err != nil {
		return false, err
	}
	return c.weigh(stored, presented), nil
}

// enter takes a place, and then a slot.
func (c *Checker) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil { // a free slot would hide it half of the time
		return fmt.Errorf("wait for a password check: %w", err)
	}
	select {
	case c.places <- struct{}{}:
	default:
		return ErrBusy
	}
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-c.places
		return fmt.Errorf("wait for a password check: %w", ctx.Err())
	}
}

// leave gives back the slot first: the other way round, one more than Waiting could wait.
func (c *Checker) leave() {
	<-c.slots
	<-c.places
}

// weigh does the work before it looks whether there was anything to check.
func weigh(stored Stored, presented Secret) bool {
	text, ok := presented.judged()
	return stored.scheme().matches(text) && ok
}
