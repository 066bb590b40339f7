package login_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

func TestRefresh_ReturnsNewPair(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	first := s.openRefreshable()
	w.clock.advance(50*time.Minute + time.Millisecond)
	second := s.mustRefresh(first)
	want := first.Record
	want.Digest, want.Hint, want.Predecessor, want.Version = second.Token.Digest(), second.Token.Hint(), first.Record.Name(), 2
	want.IssuedAt = noon.Add(50 * time.Minute)
	want.CreatedAt, want.ExpiresAt = want.IssuedAt, want.IssuedAt.Add(time.Hour)
	want.Refresh = &record.Refresh{
		Digest: second.Refresh.Digest(), Family: first.Record.Refresh.Family, Previous: first.Refresh.Digest(),
		PreviousUntil: want.IssuedAt.Add(login.RetryWindow), ExpiresAt: want.IssuedAt.Add(30 * 24 * time.Hour),
	}
	if all := w.allRecords(); len(all) != 1 || !reflect.DeepEqual(all[0], want) || !reflect.DeepEqual(second.Record, want) {
		t.Errorf("%+v\nwant %+v", all, want)
	}
	if !w.endedDigests[first.Token.Digest()] || w.isValid(first) || first.GUID() == second.GUID() {
		t.Error("the pair before has not ended")
	}
	checkNoSecrets(t, second, w.allRecords()[0])
}

// Threats row 18: a client that did not get the response tries again, as often as that happens, and
// does not count as a thief.
func TestRefresh_LostResponseCanBeRetried(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	other := w.newReplica(func() int { return 3 }) // its cache shows the first as valid for long
	first := s.openRefreshable()
	last := s.mustRefresh(first)
	until := last.Record.Refresh.PreviousUntil
	for n := range 9 {
		w.clock.advance(3 * time.Second)
		at := s
		if n%2 == 1 {
			at = other
		}
		next := at.mustRefresh(first)
		if w.isValid(last) || len(w.allRecords()) != 1 {
			t.Errorf("retry %d: the pair before is good too", n)
		}
		if !next.Record.Refresh.PreviousUntil.Equal(until) {
			t.Errorf("retry %d moves the end of the retries", n)
		}
		last = next
	}
	w.clock.advance(time.Minute)
	s.mustRefresh(last)
	if w.replayCount.Load() != 0 {
		t.Error("it was taken for a theft")
	}
}

// A retry right after the response counts as one too: connections break at once. The replica that
// sent the response knows that it did, even if its cache is behind.
func TestRefresh_ImmediateRetrySucceeds(t *testing.T) {
	for behind := range 6 {
		w := newFixture(t)
		s := w.newReplica(func() int { return behind })
		first := s.openRefreshable()
		s.mustRefresh(first)
		s.mustRefresh(s.mustRefresh(first))
	}
}

// The pair that a retry replaced is dead. A client that presents it soon got two responses late,
// and is no thief.
func TestRefresh_ReplacedPairIsNoReplayWithinWindow(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	first := s.openRefreshable()
	replaced := s.mustRefresh(first)
	last := s.mustRefresh(first)
	w.clock.advance(login.RetryWindow - time.Second)
	_, err := s.refresh(replaced)
	wantDenied(t, "the one that was replaced", err)
	if w.replayCount.Load() != 0 || !w.isValid(last) {
		t.Fatal("it ended the session")
	}
	next := s.mustRefresh(last)
	w.clock.advance(login.RetryWindow)
	_, err = s.refresh(replaced)
	wantDenied(t, "the one that was replaced, later", err)
	if w.replayCount.Load() != 1 || w.isValid(next) {
		t.Error("it did not end the session")
	}
}

// Threats rows 18 and 19: a used-up refresh token, however old, ends its session and no other, and
// is reported once.
func TestRefresh_ReplayEndsItsSessionOnly(t *testing.T) {
	for age := range 4 {
		for _, behind := range []int{0, 1000} {
			t.Run(fmt.Sprintf("%d generations ago, %d changes behind", age+1, behind), func(t *testing.T) {
				w := newFixture(t)
				s := w.newReplica(nil)
				there := w.newReplica(func() int { return behind })
				others := []login.Opened{s.openRefreshable(), s.open("globex", login.Terms{Kind: token.Login, Refreshable: true}), s.open("acme", login.Terms{Kind: token.Open, Lifetime: time.Hour})}
				pairs := []login.Opened{s.openRefreshable()}
				for range 4 {
					w.clock.advance(time.Minute)
					pairs = append(pairs, s.mustRefresh(pairs[len(pairs)-1]))
				}
				w.clock.advance(login.RetryWindow)
				last := pairs[len(pairs)-1]
				for range 3 {
					_, err := there.refresh(pairs[len(pairs)-2-age])
					wantDenied(t, "the one that was used up", err)
				}
				if w.replayCount.Load() != 1 {
					t.Errorf("it was reported %d times", w.replayCount.Load())
				}
				_, err := s.refresh(last)
				wantDenied(t, "the last of its session", err)
				if w.isValid(last) || !w.endedDigests[last.Token.Digest()] || len(w.allRecords()) != len(others) {
					t.Error("its session goes on")
				}
				for n, o := range others {
					if !w.isValid(o) {
						t.Errorf("session %d of the same user has ended", n)
					}
				}
				s.mustRefresh(others[0])
			})
		}
	}
}

// A refresh token of which only the first half is right ends the session too: no other client has
// that half.
func TestRefresh_ForgedTokenIsReplay(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	o, other := s.openRefreshable(), s.openRefreshable()
	forged, err := parseToken(t, o.Refresh.Reveal()).Family().Mint(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.presentToken(forged)
	wantDenied(t, "one that was made up", err)
	if w.isValid(o) || w.replayCount.Load() != 1 || !w.isValid(other) {
		t.Error("its session goes on, or another does not")
	}
}

// A token that a replica does not know yet is no replay: it asks the API server before it ends
// anything.
func TestRefresh_StaleCacheIsNoReplay(t *testing.T) {
	for behind := range 12 {
		w := newFixture(t)
		s, there := w.newReplica(nil), w.newReplica(func() int { return behind })
		last := s.openRefreshable()
		for range 4 {
			w.clock.advance(time.Minute) // all windows are over
			last = s.mustRefresh(last)
		}
		w.clock.advance(time.Minute)
		next, err := there.refresh(last)
		if err != nil || !w.isValid(next) || w.replayCount.Load() != 0 {
			t.Errorf("%d changes behind: %v, and %d replays", behind, err, w.replayCount.Load())
		}
	}
}

func TestRefresh_OtherCredentialsAreDenied(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	o := s.openRefreshable()
	before := s.store.calls
	for _, kind := range []token.Kind{token.Application, token.UserApplication, token.Login, token.Session, token.Open} {
		tok, err := token.Mint(kind, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.presentToken(tok)
		wantDenied(t, kind.String(), err)
		wantDenied(t, kind.String(), s.EndRefresh(t.Context(), tok, clientAddress))
	}
	_, err := s.presentToken(o.Token)
	wantDenied(t, "its login", err)
	_, err = s.presentToken(token.Token{})
	wantDenied(t, "none", err)
	if s.store.calls != before {
		t.Error("the store was asked")
	}
	s.mustRefresh(o)
}

func TestRefresh_TokenExpires(t *testing.T) {
	const life = 30 * 24 * time.Hour
	for after, want := range map[time.Duration]bool{life - time.Second: true, life: false, life + time.Second: false} {
		w := newFixture(t)
		s := w.newReplica(nil)
		o := s.openRefreshable()
		w.clock.advance(after)
		if _, err := s.refresh(o); (err == nil) != want || err != nil && !errors.Is(err, login.ErrDenied) {
			t.Errorf("after %s: %v", after, err)
		}
		if w.replayCount.Load() != 0 {
			t.Errorf("after %s: it was taken for a theft", after)
		}
	}
}

// unknownRefreshToken returns a refresh token of no session.
func unknownRefreshToken(t *testing.T) token.Token {
	t.Helper()
	family, err := token.NewFamily(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := family.Mint(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// One source uses up its own share of the reads from the API server, whatever it presents, and no
// more.
func TestRefresh_UnknownSourceHasShareOfReads(t *testing.T) {
	flooder, neighbour := netip.MustParseAddr("2001:db8::"), netip.MustParseAddr("2001:db8:0:1::")
	for what, present := range map[string]func(*testReplica, token.Token, netip.Addr) error{
		"to refresh": func(s *testReplica, tok token.Token, from netip.Addr) error {
			_, err := s.Refresh(t.Context(), tok, "", from, s.fixture.clock.now())
			return err
		},
		"to revoke": func(s *testReplica, tok token.Token, from netip.Addr) error {
			return s.EndRefresh(t.Context(), tok, from)
		},
	} {
		w := newFixture(t)
		s := w.newReplica(nil)
		for n := range 10 * login.LiveReadsPerSecond {
			from := flooder.As16()
			from[15] = byte(n) // another address of one subscriber
			err := present(s, unknownRefreshToken(t), netip.AddrFrom16(from))
			if n < login.SourceReadBurst {
				wantDenied(t, what, err)
			} else {
				wantLimited(t, what+", in a flood", err, login.SourceReadEvery)
			}
		}
		wantDenied(t, what+", another caller", present(s, unknownRefreshToken(t), neighbour))
		w.clock.advance(login.SourceReadEvery)
		wantDenied(t, what+", later", present(s, unknownRefreshToken(t), flooder))
	}
}

// Each exchange makes the API server write and delete a record. Their number is bounded for each
// user, however many logins the user has.
func TestRefresh_UserHasExchangeBudget(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	at := s.openRefreshable()
	for n := range login.ExchangeBurst {
		if n%2 == 0 {
			at = s.mustRefresh(at)
			continue
		}
		account := map[string]int64{"acme": 1002, "globex": 1001}[at.Client.Name]
		next, err := s.Masquerade(t.Context(), at.Token.Digest(), account)
		if err != nil {
			t.Fatal(err)
		}
		at = next
	}
	_, err := s.refresh(at)
	wantLimited(t, "a refresh", err, 100*time.Millisecond)
	_, err = s.Masquerade(t.Context(), at.Token.Digest(), map[string]int64{"acme": 1002, "globex": 1001}[at.Client.Name])
	wantLimited(t, "a change of the account", err, 100*time.Millisecond)
	if err := s.attempt("alice", rightPassword); err != nil || !w.isValid(at) {
		t.Errorf("a login: %v; the session goes on: %t", err, w.isValid(at))
	}
	w.clock.advance(time.Second)
	s.mustRefresh(at)
}

// Reads from the API server are bounded, and requests about unknown sessions do not use up the
// reads for known sessions.
func TestRefresh_UnknownSessionsLeaveReadsForKnown(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	first := s.openRefreshable()
	last := s.mustRefresh(first)
	callers := 0
	unknown := func() error { // each time from another address
		callers++
		_, err := s.Refresh(t.Context(), unknownRefreshToken(t), "", netip.AddrFrom4([4]byte{198, 51, 100, byte(callers)}), w.clock.now())
		return err
	}
	for range login.LiveReadsPerSecond {
		wantDenied(t, "unknown", unknown())
	}
	before := s.store.calls
	for range 100 {
		if err := unknown(); !errors.Is(err, login.ErrUnavailable) {
			t.Fatalf("unknown, in a flood: %v", err)
		}
	}
	if n := s.store.calls - before; n != 100 { // each is looked up in the cache
		t.Errorf("%d calls for 100 unknown refresh tokens", n)
	}
	next := s.mustRefresh(first)
	if w.isValid(last) {
		t.Error("the pair before is good too")
	}
	s.mustRefresh(next)
	w.clock.advance(time.Second)
	wantDenied(t, "unknown, a second later", unknown())
}

// A client that keeps presenting refresh tokens other than the current one causes few reads for its
// session, and no other session waits for it.
func TestRefresh_OneSessionLeavesReadsForOthers(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	other, mine := s.openRefreshable(), s.openRefreshable()
	for range login.SessionBurst {
		s.mustRefresh(other)
	}
	s.mustRefresh(other) // the first of these was no retry
	before := s.store.calls
	for range 100 {
		if _, err := s.refresh(other); !errors.Is(err, login.ErrUnavailable) {
			t.Fatalf("a retry, in a flood: %v", err)
		}
	}
	if n := s.store.calls - before; n != 100 { // each is looked up in the cache
		t.Errorf("%d calls for 100 retries", n)
	}
	s.mustRefresh(mine)
	s.mustRefresh(mine)
	w.clock.advance(login.SessionEvery)
	s.mustRefresh(other)
}
