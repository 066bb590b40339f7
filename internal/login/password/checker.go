package password

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

var (
	// ErrBusy says that so many checks wait already that one more is not let in. Nothing was checked: a caller answers that it
	// is overloaded, and counts no failure.
	ErrBusy = errors.New("too many password checks wait")
	// ErrTooMany says that as many checks of the name, or of the source, run or wait as may. Nothing was checked: a caller
	// answers that this one asks too often.
	ErrTooMany = errors.New("too many password checks of this name or source run or wait")
)

// PerName is how many checks of one name run or wait at most, whether or not a user has the name.
const PerName = 2

// Options of a Checker.
type Options struct {
	// Slots is how many checks run at once; less than one counts as one. Each is for SlotMemory: a check that takes more has
	// several, or all that there are. So what runs holds at most Slots times that, or one check's Stored.Memory.
	Slots int
	// Waiting is how many checks wait for a slot at most; less than none counts as none.
	Waiting int
	// PerSource is how many checks of one source run or wait at most; less than one counts as one.
	PerSource int
}

// SlotMemory is the memory that each slot is for, in bytes: that of the second recommended option of RFC 9106.
const SlotMemory = 64 << 20

// Checker checks passwords, so many at once. It is safe for many goroutines, has none of its own, and needs no closing.
//
// The checks of one name and of one source are bounded, and sources take turns. So a flood of one source, of right or wrong
// passwords, delays a check of another source by one of its own.
type Checker struct {
	most      int64 // slots
	waiting   int
	perSource int
	weigh     func(Stored, Secret) bool

	mu      sync.Mutex // of what follows
	free    int64      // slots
	queue   queue
	names   map[[sha256.Size]byte]int // how many run or wait, by the digest of the name
	sources map[netip.Prefix]int      // how many run or wait
}

// NewChecker returns a Checker with all its slots free.
func NewChecker(o Options) *Checker {
	slots := int64(max(o.Slots, 1))
	return &Checker{
		most: slots, free: slots, waiting: max(o.Waiting, 0), perSource: max(o.PerSource, 1), weigh: weigh,
		names: map[[sha256.Size]byte]int{}, sources: map[netip.Prefix]int{},
	}
}

// Check is what is to be checked, and for whom.
type Check struct {
	Name      string
	Source    netip.Prefix // that takes turns with others; the zero Prefix is one too
	Stored    Stored
	Presented Secret
	// Still is asked once there is a slot; nil: nobody is. The check happens only if it says nil: while it waited, others may
	// have used up what is allowed.
	Still func() error
}

// Check reports whether the presented password is the one that is stored. It works on the goroutine of its caller. It takes as
// long for a wrong password as for the right one, and for one that Presented would refuse, which matches nothing.
//
// An error means that nothing was checked: ErrBusy, ErrTooMany, that of Still, or that of ctx, wrapped, when it ended before
// a slot was free. A check that runs is not interrupted; the bounds of ReadHash keep it short.
func (c *Checker) Check(ctx context.Context, x Check) (bool, error) {
	slots := min(max((x.Stored.Memory()+SlotMemory-1)/SlotMemory, 1), c.most)
	name := digest(x.Name)
	w, err := c.enter(ctx, name, x.Source, slots)
	if err != nil {
		return false, err
	}
	defer c.leave(name, w)
	if err := c.await(ctx, w); err != nil {
		return false, err
	}
	if x.Still != nil {
		if err := x.Still(); err != nil {
			return false, err
		}
	}
	return c.weigh(x.Stored, x.Presented), nil
}

// enter takes a place for a check, which has its slots at once if they are free and nobody waits.
func (c *Checker) enter(ctx context.Context, name [sha256.Size]byte, source netip.Prefix, slots int64) (*waiter, error) {
	if err := ctx.Err(); err != nil { // a free slot would hide it
		return nil, fmt.Errorf("wait for a password check: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names[name] >= PerName || c.sources[source] >= c.perSource {
		return nil, ErrTooMany
	}
	w := &waiter{source: source, slots: slots, turn: make(chan bool, 1)}
	if c.queue.size == 0 && slots <= c.free {
		c.free -= slots
		w.turn <- true
	} else {
		if err := c.makeRoom(source); err != nil {
			return nil, err
		}
		c.queue.push(w)
	}
	c.names[name]++
	c.sources[source]++
	return w, nil
}

// makeRoom lets one more wait.
func (c *Checker) makeRoom(source netip.Prefix) error {
	if c.queue.size < c.waiting {
		return nil
	}
	gone := c.queue.displaced(source)
	if gone == nil {
		return ErrBusy
	}
	c.queue.remove(gone)
	gone.turn <- false
	return nil
}

// await waits until a check has its slots.
func (c *Checker) await(ctx context.Context, w *waiter) error {
	select {
	case w.running = <-w.turn:
		if !w.running {
			return ErrTooMany // no source has more that wait
		}
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.queued {
		c.queue.remove(w)
	} else { // its turn came meanwhile, and is given back by leave
		w.running = <-w.turn
	}
	return fmt.Errorf("wait for a password check: %w", ctx.Err())
}

// leave gives back what a check had.
func (c *Checker) leave(name [sha256.Size]byte, w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	release(c.names, name)
	release(c.sources, w.source)
	if w.running {
		c.free += w.slots
	}
	c.serve()
}

// serve gives slots to those whose turn it is. One that needs more than are free keeps its turn, or it would never have it.
func (c *Checker) serve() {
	for w := c.queue.next(); w != nil && w.slots <= c.free; w = c.queue.next() {
		c.queue.pop()
		c.free -= w.slots
		w.turn <- true
	}
}

// release counts one less of a key.
func release[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// weigh does the work before it looks whether there was anything to check.
func weigh(stored Stored, presented Secret) bool {
	text, ok := presented.judged()
	return stored.scheme().matches(text) && ok
}
