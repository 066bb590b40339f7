package password_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/apptoken/operator/internal/login/password"
)

// recordingChecker records which checks began, and lets one at a time finish.
type recordingChecker struct {
	*password.Checker
	mu         sync.Mutex
	begunNames []string
	release    chan bool
	ended      chan error
}

func newRecordingChecker(o password.Options) *recordingChecker {
	x := &recordingChecker{Checker: password.NewChecker(o), release: make(chan bool), ended: make(chan error, 10_000)}
	x.SetCompare(func() bool { return <-x.release })
	return x
}

// start starts a check from a source, and waits until it runs, waits or returns.
func (x *recordingChecker) start(ctx context.Context, name string, source byte) {
	x.startAs(ctx, name, source, false)
}

// startAs is start, for a source that may be known.
func (x *recordingChecker) startAs(ctx context.Context, name string, source byte, isKnown bool) {
	go func() {
		_, err := x.Check(ctx, password.Check{
			Name: name, Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, source}), 32), IsKnown: isKnown,
			Recheck: func() error {
				x.mu.Lock()
				defer x.mu.Unlock()
				x.begunNames = append(x.begunNames, name)
				return nil
			},
		})
		x.ended <- err
	}()
	synctest.Wait()
}

// finish lets n checks finish, one after the other, and returns the order in which they began.
func (x *recordingChecker) finish(n int) string {
	for range n {
		x.release <- true
		synctest.Wait()
	}
	return strings.Join(x.begunNames, " ")
}

// Because of the order of service, other checks wait for one check of a flood and one that runs,
// and no longer. They take three times as long as without the flood at most.
func TestChecker_FloodDelaysOthersByOneCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRecordingChecker(password.Options{Slots: 1, MaxWaiting: 100, MaxPerSource: 60})
		for n := range 50 {
			x.start(t.Context(), fmt.Sprint("flood", n), 'f')
		}
		x.start(t.Context(), "alice", 'a')
		x.start(t.Context(), "bob", 'b')
		for n := range 5 {
			x.start(t.Context(), fmt.Sprint("more", n), 'f')
		}
		got := strings.Fields(x.finish(57))
		if !slices.Equal(got[:4], []string{"flood0", "flood1", "alice", "bob"}) {
			t.Errorf("they are served in the order %v", got)
		}
	})
}

// An attacker's checks of a name take nothing from those of the user, who is elsewhere.
func TestChecker_AtMostTwoChecksPerNameAtSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRecordingChecker(password.Options{Slots: 8, MaxWaiting: 100, MaxPerSource: 100})
		for range password.MaxPerNameAtSource {
			x.start(t.Context(), "alice", 's')
		}
		for range 20 {
			x.start(t.Context(), "alice", 's')
			if err := <-x.ended; !errors.Is(err, password.ErrTooMany) {
				t.Errorf("one more: %v", err)
			}
		}
		x.start(t.Context(), "bob", 's')
		x.start(t.Context(), "alice", 'a')
		if got := x.finish(4); got != "alice alice bob alice" {
			t.Errorf("%s", got)
		}
		x.start(t.Context(), "alice", 's')
		if got := x.finish(1); got != "alice alice bob alice alice" {
			t.Errorf("afterwards: %s", got)
		}
	})
}

// Many sources do not fill the queue with one name, whether or not a user has it. A known source is
// exempt, so they do not keep out the user either.
func TestChecker_ChecksPerNameAreBoundedOverAllSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRecordingChecker(password.Options{Slots: 1, MaxWaiting: 1000, MaxPerSource: 100})
		for n := range byte(password.MaxPerName) {
			x.start(t.Context(), "alice", n)
		}
		for n := range byte(100) {
			x.start(t.Context(), "alice", 100+n)
			if err := <-x.ended; !errors.Is(err, password.ErrTooMany) {
				t.Errorf("one more: %v", err)
			}
		}
		x.start(t.Context(), "bob", 0)
		for range password.MaxPerNameAtSource {
			x.startAs(t.Context(), "alice", 'k', true)
		}
		x.startAs(t.Context(), "alice", 'k', true)
		if err := <-x.ended; !errors.Is(err, password.ErrTooMany) {
			t.Errorf("one more of a known source: %v", err)
		}
		x.finish(password.MaxPerName + 1 + password.MaxPerNameAtSource)
		for range password.MaxPerName + 1 + password.MaxPerNameAtSource {
			if err := <-x.ended; err != nil {
				t.Error(err)
			}
		}
		if names, sources, pairs, waiting := x.Counts(); names+sources+pairs+waiting != 0 {
			t.Errorf("%d names, %d sources, %d pairs and %d that wait are left", names, sources, pairs, waiting)
		}
	})
}

func TestChecker_SourceHasShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRecordingChecker(password.Options{Slots: 2, MaxWaiting: 10, MaxPerSource: 4})
		for n := range 4 {
			x.start(t.Context(), fmt.Sprint("flood", n), 'f')
		}
		x.start(t.Context(), "one more", 'f')
		if err := <-x.ended; !errors.Is(err, password.ErrTooMany) {
			t.Errorf("one more: %v", err)
		}
		x.start(t.Context(), "alice", 'a')
		if got := x.finish(5); !strings.HasPrefix(got, "flood0 flood1 flood2 alice") && !strings.HasPrefix(got, "flood0 flood1 alice") {
			t.Errorf("%s", got)
		}
		for range 4 {
			if err := <-x.ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// When no more checks may wait, the source that has the most makes room for another source.
func TestChecker_FullQueueMakesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRecordingChecker(password.Options{Slots: 1, MaxWaiting: 4, MaxPerSource: 100})
		for n := range 5 {
			x.start(t.Context(), fmt.Sprint("flood", n), 'f')
		}
		x.start(t.Context(), "flood5", 'f')
		if err := <-x.ended; !errors.Is(err, password.ErrBusy) {
			t.Errorf("one more of the flood: %v", err)
		}
		for _, name := range []string{"alice", "bob"} {
			x.start(t.Context(), name, name[0])
			if err := <-x.ended; !errors.Is(err, password.ErrTooMany) {
				t.Errorf("one of the flood, for %s: %v", name, err)
			}
		}
		if got := x.finish(5); got != "flood0 flood1 alice bob flood2" {
			t.Errorf("%s", got)
		}
	})
}

// A name and a source take no memory once none of their checks runs or waits.
func TestChecker_ForgetsNamesAndSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newRecordingChecker(password.Options{Slots: 1, MaxWaiting: 10, MaxPerSource: 100})
		ctx, cancel := context.WithCancel(t.Context())
		x.start(t.Context(), "runs", 'r')
		for n := range byte(12) {
			x.start(ctx, fmt.Sprint("waits", n), n)
		}
		cancel()
		synctest.Wait()
		x.finish(1)
		if names, sources, pairs, waiting := x.Counts(); names+sources+pairs+waiting != 0 {
			t.Errorf("%d names, %d sources, %d pairs and %d that wait are left", names, sources, pairs, waiting)
		}
	})
}

// A check that needs more slots than are free keeps its turn: smaller checks do not overtake it for
// ever.
func TestChecker_LargeCheckKeepsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big, err := password.ParseHash("$argon2id$v=19$m=262144,t=1,p=1$c2FsdHNhbHQ$" + strings.Repeat("A", 43)) // four slots
		if err != nil {
			t.Fatal(err)
		}
		x := newRecordingChecker(password.Options{Slots: 4, MaxWaiting: 100, MaxPerSource: 100})
		x.start(t.Context(), "small0", 's')
		go func() {
			_, err := x.Check(t.Context(), password.Check{Name: "big", Stored: big, Recheck: func() error { x.begunNames = append(x.begunNames, "big"); return nil }})
			x.ended <- err
		}()
		synctest.Wait()
		for n := range 5 {
			x.start(t.Context(), fmt.Sprint("small", n+1), 's')
		}
		if got := strings.Fields(x.finish(7)); !slices.Equal(got[:2], []string{"small0", "big"}) {
			t.Errorf("%v", got)
		}
	})
}
