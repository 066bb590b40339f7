package password

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/semaphore"
)

// ErrBusy says that so many checks wait already that one more is not let in. Nothing was checked: a caller answers that it is
// overloaded, and counts no failure.
var ErrBusy = errors.New("too many password checks wait")

// Options of a Checker.
type Options struct {
	// Slots is how many checks run at once; less than one counts as one. Each is for SlotMemory: a check that takes more has
	// several, or all that there are. So what runs holds at most Slots times that, or one check's Stored.Memory.
	Slots int
	// Waiting is how many checks wait for a slot at most; less than none counts as none.
	Waiting int
}

// SlotMemory is the memory that each slot is for, in bytes: that of the second recommended option of RFC 9106.
const SlotMemory = 64 << 20

// Checker checks passwords, so many at once. It is safe for many goroutines, has none of its own, and needs no closing.
type Checker struct {
	places chan struct{}       // held while a check waits or runs
	slots  *semaphore.Weighted // held while it runs
	most   int64               // slots
	weigh  func(Stored, Secret) bool
}

// NewChecker returns a Checker with all its slots free.
func NewChecker(o Options) *Checker {
	slots := max(o.Slots, 1)
	return &Checker{
		places: make(chan struct{}, slots+max(o.Waiting, 0)),
		slots:  semaphore.NewWeighted(int64(slots)),
		most:   int64(slots),
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
	slots := min(max((stored.Memory()+SlotMemory-1)/SlotMemory, 1), c.most)
	if err := c.enter(ctx, slots); err != nil {
		return false, err
	}
	defer c.leave(slots)
	if err := still(); err != nil {
		return false, err
	}
	return c.weigh(stored, presented), nil
}

// enter takes a place, and then slots.
func (c *Checker) enter(ctx context.Context, slots int64) error {
	if err := ctx.Err(); err != nil { // a free slot would hide it half of the time
		return fmt.Errorf("wait for a password check: %w", err)
	}
	select {
	case c.places <- struct{}{}:
	default:
		return ErrBusy
	}
	if err := c.slots.Acquire(ctx, slots); err != nil {
		<-c.places
		return fmt.Errorf("wait for a password check: %w", err)
	}
	return nil
}

// leave gives back the slots first: the other way round, one more than Waiting could wait.
func (c *Checker) leave(slots int64) {
	c.slots.Release(slots)
	<-c.places
}

// weigh does the work before it looks whether there was anything to check.
func weigh(stored Stored, presented Secret) bool {
	text, ok := presented.judged()
	return stored.scheme().matches(text) && ok
}
