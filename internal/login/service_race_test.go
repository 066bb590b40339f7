package login_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/token"
)

// All operations at once, for the race detector. Each user has a session of their own, on three
// replicas that are behind, and runs random operations on it. At the end the user still has it.
func TestService_ConcurrentOperations(t *testing.T) {
	const users, steps = 12, 60
	w := newFixture(t)
	for _, name := range []string{"acme", "globex"} {
		c := w.client(name)
		c.MaxSessions = 1000
		w.directory.SetClient(c)
	}
	behind := func() int { return 5 }
	replicas := []*testReplica{w.newReplica(behind), w.newReplica(behind), w.newReplica(behind)}
	var all sync.WaitGroup
	var mu sync.Mutex
	var have []login.Opened
	for p := range users {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(p)))
			at := func() *testReplica { return replicas[r.IntN(len(replicas))] }
			account := int64(1001)
			mine := at().openRefreshable()
			for range steps {
				var next login.Opened
				var err error
				switch r.IntN(8) {
				case 0:
					if next, err = at().Masquerade(t.Context(), mine.Token.Digest(), 2003-account); err == nil {
						account = 2003 - account
					}
				case 1: // log out and in again
					if err = at().End(t.Context(), mine.Token.Digest()); err == nil {
						account = 1001
						next, err = at().Open(t.Context(), w.alice(), w.client("acme"), login.Terms{Kind: token.Login, Refreshable: true})
					}
				case 2:
					_, err = at().Authenticate(t.Context(), login.Attempt{Username: "alice", Password: password.NewSecret(rightPassword), Source: netip.AddrFrom4([4]byte{10, 0, 0, byte(p)})})
					next = mine
				case 3: // users and clients are set again, unchanged
					u, c := w.alice(), w.client("acme")
					w.directory.SetUser(u)
					w.directory.SetClient(c)
					w.noteUse(mine.Token.Digest())
					next = mine
				case 4: // the response is lost
					here := at()
					var unread login.Opened
					if unread, err = here.refresh(mine); err == nil {
						if next, err = here.refresh(mine); err != nil {
							mine = unread
						}
					}
				default:
					next, err = at().refresh(mine)
				}
				if err != nil {
					_, limited := errors.AsType[*login.Limited](err)
					// The number of reads from the API server is limited.
					if !limited && !errors.Is(err, login.ErrUnavailable) {
						t.Errorf("%v", err)
						return
					}
					w.clock.advance(100 * time.Millisecond)
					continue
				}
				mine = next
			}
			mu.Lock()
			defer mu.Unlock()
			have = append(have, mine)
		})
	}
	all.Wait()
	for _, o := range have {
		w.clock.advance(time.Second)
		replicas[0].mustRefresh(o)
	}
	if n := len(w.allRecords()); n != users || w.replayCount.Load() != 0 {
		t.Errorf("%d records of %d users, and %d replays", n, users, w.replayCount.Load())
	}
}
