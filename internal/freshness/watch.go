package freshness

import (
	"sync"
	"time"
)

// maxBookmarkAge is the time for which a bookmark on one watch proves that the API server still
// sends bookmarks on others. It is less than maxLost, so that an API server that stops sending
// bookmarks does not close the replica.
const maxBookmarkAge = 45 * time.Second

// Watches are the watches that keep a replica up to date. They are safe for concurrent use.
type Watches struct {
	mu         sync.Mutex
	all        []*Watch
	bookmarked time.Time       // the last bookmark on any watch that no change had prompted
	proven     map[string]bool // families with such a bookmark
}

// Add returns a new watch on a kind. A kind that is watched in each namespace separately has
// several. An API server sends bookmarks for all kinds of a family, or for none.
func (w *Watches) Add(kind, family string) *Watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	added := &Watch{kind: kind, family: family, set: w}
	w.all = append(w.all, added)
	return added
}

// Signs returns the last sign of each kind. For a kind with several watches it is the sign of the
// watch that is furthest behind.
func (w *Watches) Signs() []Sign {
	w.mu.Lock()
	defer w.mu.Unlock()
	var signs []Sign
	place := map[string]int{}
	for _, each := range w.all {
		sign := Sign{Kind: each.kind, At: each.at, Broken: each.broken}
		i, known := place[each.kind]
		switch {
		case !known:
			place[each.kind] = len(signs)
			signs = append(signs, sign)
		case sign.At.Before(signs[i].At):
			signs[i] = sign
		}
	}
	return signs
}

// Watch is one watch, across its connections. It is safe for concurrent use.
//
// Its signs are events, bookmarks, lists, and a connection that begins at the newest version. A new
// connection alone is no sign, because a proxy may hold back its data. A list is no sign after a
// connection has failed, because it may be the last for long.
type Watch struct {
	kind   string
	family string
	set    *Watches // its mutex guards the fields below

	at     time.Time // the last sign
	failed bool      // a connection failed, and none has shown a sign since
	broken bool      // a connection failed, and none was made since
}

// Connected records that a connection was made.
func (w *Watch) Connected() {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	w.broken = false
}

// Failing reports whether a connection has failed and none has shown a sign since.
func (w *Watch) Failing() bool {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	return w.failed
}

// Listed records that all objects were listed.
func (w *Watch) Listed(now time.Time) {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	if !w.failed {
		w.at = now
	}
}

// Delivered records an event or a bookmark, or the instant at which a connection began at the
// newest version. A bookmark that no change of the kind prompted shows that the API server always
// sends one.
func (w *Watch) Delivered(at time.Time, unprompted bool) {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	w.at, w.failed, w.broken = at, false, false
	if unprompted {
		if w.set.proven == nil {
			w.set.proven = map[string]bool{}
		}
		w.set.proven[w.family], w.set.bookmarked = true, at
	}
}

// Ended records that the API server ended a connection after its regular time, perhaps without a
// bookmark. That is a sign, unless a bookmark was due: watches of the family have had bookmarks,
// and others still get them.
func (w *Watch) Ended(now time.Time) {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	if !w.set.proven[w.family] || now.Sub(w.set.bookmarked) > maxBookmarkAge {
		w.at, w.failed = now, false
	}
}

// Failed records that a connection could not be made, or broke.
func (w *Watch) Failed() {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	w.failed, w.broken = true, true
}
