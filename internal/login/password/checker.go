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
	// ErrBusy reports that the number of waiting checks has reached its limit. No password was
	// checked: the caller answers that it is overloaded, and counts no failure.
	ErrBusy = errors.New("too many password checks wait")
	// ErrTooMany reports that the checks of the name, or of the source, have reached their limit.
	// No password was checked: the caller answers that this client asks too often.
	ErrTooMany = errors.New("too many password checks of this name or source run or wait")
)

// PerName is how many checks of one name run or wait at most, whether or not a user has the name.
const PerName = 2

// Options configures a Checker.
type Options struct {
	// Slots is how many checks run at once; less than one counts as one. Each slot stands for
	// SlotMemory. A check that takes more memory takes several slots, or all of them. Running
	// checks therefore hold at most Slots times SlotMemory, or the Stored.Memory of one check.
	Slots int
	// Waiting is how many checks wait for a slot at most; a negative number counts as none.
	Waiting int
	// PerSource is how many checks of one source run or wait at most; less than one counts as one.
	PerSource int
}

// SlotMemory is the memory that each slot stands for, in bytes: that of the second recommended
// option of RFC 9106.
const SlotMemory = 64 << 20

// Checker checks passwords, a bounded number at once. It is safe for concurrent use, starts no
// goroutines, and needs no Close.
//
// The checks of one name and of one source are bounded, and sources take turns. A flood from one
// source, of right or wrong passwords, delays a check of another source by one of its own checks.
type Checker struct {
	most      int64 // slots
	waiting   int
	perSource int
	weigh     func(Stored, Secret) bool

	mu      sync.Mutex // guards the fields below
	free    int64      // slots
	queue   queue
	names   map[[sha256.Size]byte]int // running or waiting checks, by the digest of the name
	sources map[netip.Prefix]int      // running or waiting checks
}

// NewChecker returns a Checker with all its slots free.
func NewChecker(o Options) *Checker {
	slots := int64(max(o.Slots, 1))
	return &Checker{
		most: slots, free: slots, waiting: max(o.Waiting, 0), perSource: max(o.PerSource, 1), weigh: weigh,
		names: map[[sha256.Size]byte]int{}, sources: map[netip.Prefix]int{},
	}
}

// Check is a password to check, with the name and the source that it is checked for.
type Check struct {
	Name      string
	Source    netip.Prefix // takes turns with other sources; the zero Prefix counts as a source too
	Stored    Stored
	Presented Secret
	// Still is called once the check has a slot, unless it is nil. The check runs only if Still
	// returns nil: while it waited, other checks may have used up what is allowed.
	Still func() error
}

// Check reports whether the presented password is the stored one. It works on the goroutine of its
// caller. It takes as long for a wrong password as for the right one. A password that Presented
// would reject matches nothing and takes as long too.
//
// An error means that no password was checked. It is ErrBusy, ErrTooMany, the error of Still, or
// the wrapped error of ctx if that ended before a slot was free. A running check is not
// interrupted; the bounds of ReadHash keep it short.
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

// enter registers a check. The check gets its slots at once if they are free and no other check
// waits.
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

// makeRoom makes room for one more waiting check.
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
			return ErrTooMany // its source had the most waiting checks
		}
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.queued {
		c.queue.remove(w)
	} else { // its turn came meanwhile, and leave gives it back
		w.running = <-w.turn
	}
	return fmt.Errorf("wait for a password check: %w", ctx.Err())
}

// leave gives back the slots of a check.
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

// serve gives slots to the checks whose turn it is. A check that needs more slots than are free
// keeps its turn; otherwise it would never get them.
func (c *Checker) serve() {
	for w := c.queue.next(); w != nil && w.slots <= c.free; w = c.queue.next() {
		c.queue.pop()
		c.free -= w.slots
		w.turn <- true
	}
}

// release decrements the count of a key.
func release[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// weigh compares the passwords before it looks at whether there was anything to check, so that both
// cases take as long.
func weigh(stored Stored, presented Secret) bool {
	text, ok := presented.judged()
	return stored.scheme().matches(text) && ok
}
