package freshness

import (
	"sync"
	"time"
)

// proofLasts is for how long a bookmark on one watch shows that the API server still sends bookmarks on others. It is less than
// maxLost, so that an API server that sends none any more closes nothing.
const proofLasts = 45 * time.Second

// Watches are the watches that keep a replica up to date. Safe for concurrent use.
type Watches struct {
	mu         sync.Mutex
	all        []*Watch
	bookmarked time.Time       // when a bookmark last came unprompted by a change, on any of them
	proven     map[string]bool // families of which one has had such a bookmark
}

// Add returns a new watch on a kind. There are several on a kind that is watched in each namespace by itself. An API server sends
// bookmarks for all kinds of a family, or for none.
func (w *Watches) Add(kind, family string) *Watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	added := &Watch{kind: kind, family: family, among: w}
	w.all = append(w.all, added)
	return added
}

// Signs returns the last sign of each kind: of several watches on it, the one that is furthest behind.
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

// Watch is one watch, through all of its connections. Safe for concurrent use.
//
// Events and bookmarks are its signs, and that a connection begins at the newest version there is. That a connection was made is
// none by itself, since a proxy may keep back what comes over it. Nor is a list once a connection has failed: it may be the last
// for long.
type Watch struct {
	kind   string
	family string
	among  *Watches // whose mutex guards what follows

	at     time.Time // the last sign
	failed bool      // a connection, and none has shown a sign since
	broken bool      // a connection failed, and none was made since
}

// Connected notes that a connection was made.
func (w *Watch) Connected() {
	w.among.mu.Lock()
	defer w.among.mu.Unlock()
	w.broken = false
}

// Failing reports whether a connection has failed, and none has shown a sign since.
func (w *Watch) Failing() bool {
	w.among.mu.Lock()
	defer w.among.mu.Unlock()
	return w.failed
}

// Listed notes that all objects were listed.
func (w *Watch) Listed(now time.Time) {
	w.among.mu.Lock()
	defer w.among.mu.Unlock()
	if !w.failed {
		w.at = now
	}
}

// Delivered notes an event or a bookmark, or at which instant a connection began at the newest version. A bookmark that
// came although nothing of the kind had changed shows that the API server always sends one.
func (w *Watch) Delivered(at time.Time, unprompted bool) {
	w.among.mu.Lock()
	defer w.among.mu.Unlock()
	w.at, w.failed, w.broken = at, false, false
	if unprompted {
		if w.among.proven == nil {
			w.among.proven = map[string]bool{}
		}
		w.among.proven[w.family], w.among.bookmarked = true, at
	}
}

// Ended notes that the API server ended a connection in order when its time was over, without a bookmark perhaps. That is a sign
// unless one should have come: watches of the family have had them, and others have them still.
func (w *Watch) Ended(now time.Time) {
	w.among.mu.Lock()
	defer w.among.mu.Unlock()
	if !w.among.proven[w.family] || now.Sub(w.among.bookmarked) > proofLasts {
		w.at, w.failed = now, false
	}
}

// Failed notes that a connection was not made, or broke.
func (w *Watch) Failed() {
	w.among.mu.Lock()
	defer w.among.mu.Unlock()
	w.failed, w.broken = true, true
}
