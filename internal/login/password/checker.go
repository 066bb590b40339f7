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

// Limits on the checks of one name that run or wait, whether or not a user has the name.
const (
	// MaxPerNameAtSource is the limit for the checks from one source. So an attacker elsewhere
	// does not use up the checks of the user.
	MaxPerNameAtSource = 2
	// MaxPerName is the limit for the checks from all sources that are not known. So a name that is
	// used from many addresses at once, with right or wrong passwords, delays others a little only.
	MaxPerName = 32
)

// Options configures a Checker.
type Options struct {
	// Slots is how many checks run at once; less than one counts as one. Each slot stands for
	// SlotMemory. A check that takes more memory takes several slots, or all of them. Running
	// checks therefore hold at most Slots times SlotMemory, or the Stored.Memory of one check.
	Slots int
	// MaxWaiting is how many checks wait for a slot at most; a negative number counts as none.
	MaxWaiting int
	// MaxPerSource is how many checks of one source run or wait at most; less than one counts as
	// one.
	MaxPerSource int
}

// SlotMemory is the memory that each slot stands for, in bytes: that of the second recommended
// option of RFC 9106.
const SlotMemory = 64 << 20

// Checker checks passwords, a bounded number at once. It is safe for concurrent use, starts no
// goroutines, and needs no Close.
//
// The checks of one name, of one source and of one name at one source are bounded, and sources take
// turns. A flood from one source, of right or wrong passwords, delays a check of another source by
// one of its own checks.
type Checker struct {
	totalSlots   int64 // slots
	maxWaiting   int
	maxPerSource int
	compare      func(Stored, Secret) bool

	mu        sync.Mutex // guards the fields below
	freeSlots int64      // slots
	queue     queue
	names     map[[sha256.Size]byte]int // running or waiting checks by digest, except from known sources
	sources   map[netip.Prefix]int      // running or waiting checks
	pairs     map[pair]int              // running or waiting checks
}

// NewChecker returns a Checker with all its slots free.
func NewChecker(o Options) *Checker {
	slots := int64(max(o.Slots, 1))
	return &Checker{
		totalSlots: slots, freeSlots: slots, maxWaiting: max(o.MaxWaiting, 0), maxPerSource: max(o.MaxPerSource, 1), compare: comparePasswords,
		names: map[[sha256.Size]byte]int{}, sources: map[netip.Prefix]int{}, pairs: map[pair]int{},
	}
}

// pair is a name at a source.
type pair struct {
	name   [sha256.Size]byte // digest
	source netip.Prefix
}

// Check is a password to check, with the name and the source that it is checked for.
type Check struct {
	Name      string
	Source    netip.Prefix // takes turns with other sources; the zero Prefix counts as a source too
	IsKnown   bool         // the name is known to use the source: MaxPerName does not concern the check
	Stored    Stored
	Presented Secret
	// Recheck is called once the check has a slot, unless it is nil. The check runs only if Recheck
	// returns nil: while it waited, other checks may have used up what is allowed.
	Recheck func() error
}

// Check reports whether the presented password is the stored one. It works on the goroutine of its
// caller. It takes as long for a wrong password as for the right one. A password that ParseSecret
// would reject matches nothing and takes as long too.
//
// An error means that no password was checked. It is ErrBusy, ErrTooMany, the error of Recheck, or
// the wrapped error of ctx if that ended before a slot was free. A running check is not
// interrupted; the bounds of ParseHash keep it short.
func (c *Checker) Check(ctx context.Context, x Check) (bool, error) {
	slots := min(max((x.Stored.Memory()+SlotMemory-1)/SlotMemory, 1), c.totalSlots)
	w := &waiter{pair: pair{keyDigest(x.Name), x.Source}, isKnown: x.IsKnown, slots: slots, slotsGranted: make(chan bool, 1)}
	if err := c.register(ctx, w); err != nil {
		return false, err
	}
	defer c.unregister(w)
	if err := c.waitForSlots(ctx, w); err != nil {
		return false, err
	}
	if x.Recheck != nil {
		if err := x.Recheck(); err != nil {
			return false, err
		}
	}
	return c.compare(x.Stored, x.Presented), nil
}

// register registers a check. The check gets its slots at once if they are free and no other check
// waits.
func (c *Checker) register(ctx context.Context, w *waiter) error {
	if err := ctx.Err(); err != nil { // a free slot would hide it
		return fmt.Errorf("wait for a password check: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	isNameFull := !w.isKnown && c.names[w.name] >= MaxPerName
	if isNameFull || c.pairs[w.pair] >= MaxPerNameAtSource || c.sources[w.source] >= c.maxPerSource {
		return ErrTooMany
	}
	if c.queue.size == 0 && w.slots <= c.freeSlots {
		c.freeSlots -= w.slots
		w.slotsGranted <- true
	} else {
		if err := c.makeRoom(w.source); err != nil {
			return err
		}
		c.queue.push(w)
	}
	if !w.isKnown {
		c.names[w.name]++
	}
	c.pairs[w.pair]++
	c.sources[w.source]++
	return nil
}

// makeRoom makes room for one more waiting check.
func (c *Checker) makeRoom(source netip.Prefix) error {
	if c.queue.size < c.maxWaiting {
		return nil
	}
	gone := c.queue.displaceable(source)
	if gone == nil {
		return ErrBusy
	}
	c.queue.remove(gone)
	gone.slotsGranted <- false
	return nil
}

// waitForSlots waits until a check has its slots.
func (c *Checker) waitForSlots(ctx context.Context, w *waiter) error {
	select {
	case w.isRunning = <-w.slotsGranted:
		if !w.isRunning {
			return ErrTooMany // its source had the most waiting checks
		}
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.isQueued {
		c.queue.remove(w)
	} else { // its turn came meanwhile, and leave gives it back
		w.isRunning = <-w.slotsGranted
	}
	return fmt.Errorf("wait for a password check: %w", ctx.Err())
}

// unregister gives back the slots of a check.
func (c *Checker) unregister(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.isKnown {
		decrementCount(c.names, w.name)
	}
	decrementCount(c.pairs, w.pair)
	decrementCount(c.sources, w.source)
	if w.isRunning {
		c.freeSlots += w.slots
	}
	c.assignSlots()
}

// assignSlots gives slots to the checks whose turn it is. A check that needs more slots than are
// free keeps its turn; otherwise it would never get them.
func (c *Checker) assignSlots() {
	for w := c.queue.peek(); w != nil && w.slots <= c.freeSlots; w = c.queue.peek() {
		c.queue.pop()
		c.freeSlots -= w.slots
		w.slotsGranted <- true
	}
}

// decrementCount decrements the count of a key.
func decrementCount[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// comparePasswords compares the passwords before it looks at whether there was anything to check,
// so that both cases take as long.
func comparePasswords(stored Stored, presented Secret) bool {
	text, ok := presented.checkable()
	return stored.scheme().matches(text) && ok
}
