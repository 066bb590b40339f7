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

func TestARefreshTokenIsExchangedForANewPair(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	first := s.pair()
	w.clock.step(50*time.Minute + time.Millisecond)
	second := s.good(first)
	want := first.Record
	want.Digest, want.Hint, want.Predecessor, want.Version = second.Token.Digest(), second.Token.Hint(), first.Record.Name(), 2
	want.IssuedAt = noon.Add(50 * time.Minute)
	want.CreatedAt, want.ExpiresAt = want.IssuedAt, want.IssuedAt.Add(time.Hour)
	want.Refresh = &record.Refresh{
		Digest: second.Refresh.Digest(), Family: first.Record.Refresh.Family, Previous: first.Refresh.Digest(),
		PreviousUntil: want.IssuedAt.Add(login.RetryWindow), ExpiresAt: want.IssuedAt.Add(30 * 24 * time.Hour),
	}
	if all := w.all(); len(all) != 1 || !reflect.DeepEqual(all[0], want) || !reflect.DeepEqual(second.Record, want) {
		t.Errorf("%+v\nwant %+v", all, want)
	}
	if !w.ended[first.Token.Digest()] || w.holds(first) || first.GUID() == second.GUID() {
		t.Error("the pair before has not ended")
	}
	secretsOf(t, second, w.all()[0])
}

// Threats row 18: a client that did not get the response tries again, as often as that happens, and
// does not count as a thief.
func TestWhoeverDidNotGetTheAnswerAsksAgain(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	other := w.replica(func() int { return 3 }) // its cache shows the first as valid for long
	first := s.pair()
	last := s.good(first)
	until := last.Record.Refresh.PreviousUntil
	for n := range 9 {
		w.clock.step(3 * time.Second)
		at := s
		if n%2 == 1 {
			at = other
		}
		next := at.good(first)
		if w.holds(last) || len(w.all()) != 1 {
			t.Errorf("retry %d: the pair before is good too", n)
		}
		if !next.Record.Refresh.PreviousUntil.Equal(until) {
			t.Errorf("retry %d moves the end of the retries", n)
		}
		last = next
	}
	w.clock.step(time.Minute)
	s.good(last)
	if w.replayed.Load() != 0 {
		t.Error("it was taken for a theft")
	}
}

// A retry right after the response counts as one too: connections break at once. The replica that
// sent the response knows that it did, even if its cache is behind.
func TestARetryAtOnceIsARetry(t *testing.T) {
	for behind := range 6 {
		w := newWorld(t)
		s := w.replica(func() int { return behind })
		first := s.pair()
		s.good(first)
		s.good(s.good(first))
	}
}

// The pair that a retry replaced is dead. A client that presents it soon got two responses late,
// and is no thief.
func TestAPairThatWasReplacedIsRefusedAndNoTheftWhileTheWindowIsOpen(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	first := s.pair()
	replaced := s.good(first)
	last := s.good(first)
	w.clock.step(login.RetryWindow - time.Second)
	_, err := s.refresh(replaced)
	denied(t, "the one that was replaced", err)
	if w.replayed.Load() != 0 || !w.holds(last) {
		t.Fatal("it ended the session")
	}
	next := s.good(last)
	w.clock.step(login.RetryWindow)
	_, err = s.refresh(replaced)
	denied(t, "the one that was replaced, later", err)
	if w.replayed.Load() != 1 || w.holds(next) {
		t.Error("it did not end the session")
	}
}

// Threats rows 18 and 19: a used-up refresh token, however old, ends its session and no other, and
// is reported once.
func TestAReplayEndsItsSessionAndNoOther(t *testing.T) {
	for age := range 4 {
		for _, behind := range []int{0, 1000} {
			t.Run(fmt.Sprintf("%d generations ago, %d changes behind", age+1, behind), func(t *testing.T) {
				w := newWorld(t)
				s := w.replica(nil)
				there := w.replica(func() int { return behind })
				others := []login.Opened{s.pair(), s.open("globex", login.Terms{Kind: token.Login, Refreshable: true}), s.open("acme", login.Terms{Kind: token.Open, Lifetime: time.Hour})}
				pairs := []login.Opened{s.pair()}
				for range 4 {
					w.clock.step(time.Minute)
					pairs = append(pairs, s.good(pairs[len(pairs)-1]))
				}
				w.clock.step(login.RetryWindow)
				last := pairs[len(pairs)-1]
				for range 3 {
					_, err := there.refresh(pairs[len(pairs)-2-age])
					denied(t, "the one that was used up", err)
				}
				if w.replayed.Load() != 1 {
					t.Errorf("it was told %d times", w.replayed.Load())
				}
				_, err := s.refresh(last)
				denied(t, "the last of its session", err)
				if w.holds(last) || !w.ended[last.Token.Digest()] || len(w.all()) != len(others) {
					t.Error("its session goes on")
				}
				for n, o := range others {
					if !w.holds(o) {
						t.Errorf("session %d of the same user has ended", n)
					}
				}
				s.good(others[0])
			})
		}
	}
}

// A refresh token of which only the first half is right ends the session too: no other client has
// that half.
func TestARefreshTokenThatWasTamperedWithIsAReplay(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	o, other := s.pair(), s.pair()
	forged, err := asRead(t, o.Refresh.Reveal()).Family().Mint(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.present(forged)
	denied(t, "one that was made up", err)
	if w.holds(o) || w.replayed.Load() != 1 || !w.holds(other) {
		t.Error("its session goes on, or another does not")
	}
}

// A token that a replica does not know yet is no replay: it asks the API server before it ends
// anything.
func TestAGoodRefreshTokenNeverEndsItsSessionWhereItIsNotKnownYet(t *testing.T) {
	for behind := range 12 {
		w := newWorld(t)
		s, there := w.replica(nil), w.replica(func() int { return behind })
		last := s.pair()
		for range 4 {
			w.clock.step(time.Minute) // all windows are over
			last = s.good(last)
		}
		w.clock.step(time.Minute)
		next, err := there.refresh(last)
		if err != nil || !w.holds(next) || w.replayed.Load() != 0 {
			t.Errorf("%d changes behind: %v, and %d replays", behind, err, w.replayed.Load())
		}
	}
}

func TestOtherCredentialsAreNotExchanged(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	o := s.pair()
	before := s.store.calls
	for _, kind := range []token.Kind{token.Application, token.UserApplication, token.Login, token.Session, token.Open} {
		tok, err := token.Mint(kind, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.present(tok)
		denied(t, kind.String(), err)
		denied(t, kind.String(), s.EndRefresh(t.Context(), tok, home))
	}
	_, err := s.present(o.Token)
	denied(t, "its login", err)
	_, err = s.present(token.Token{})
	denied(t, "none", err)
	if s.store.calls != before {
		t.Error("the store was asked")
	}
	s.good(o)
}

func TestARefreshTokenEndsInTime(t *testing.T) {
	const life = 30 * 24 * time.Hour
	for after, want := range map[time.Duration]bool{life - time.Second: true, life: false, life + time.Second: false} {
		w := newWorld(t)
		s := w.replica(nil)
		o := s.pair()
		w.clock.step(after)
		if _, err := s.refresh(o); (err == nil) != want || err != nil && !errors.Is(err, login.ErrDenied) {
			t.Errorf("after %s: %v", after, err)
		}
		if w.replayed.Load() != 0 {
			t.Errorf("after %s: it was taken for a theft", after)
		}
	}
}

// strange returns a refresh token of no session.
func strange(t *testing.T) token.Token {
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
func TestRefresh_OneStrangerHasAShareOfReads(t *testing.T) {
	flooder, neighbour := netip.MustParseAddr("2001:db8::"), netip.MustParseAddr("2001:db8:0:1::")
	for what, present := range map[string]func(*one, token.Token, netip.Addr) error{
		"to refresh": func(s *one, tok token.Token, from netip.Addr) error {
			_, err := s.Refresh(t.Context(), tok, "", from, s.w.clock.now())
			return err
		},
		"to revoke": func(s *one, tok token.Token, from netip.Addr) error { return s.EndRefresh(t.Context(), tok, from) },
	} {
		w := newWorld(t)
		s := w.replica(nil)
		for n := range 10 * login.SureReads {
			from := flooder.As16()
			from[15] = byte(n) // another address of one subscriber
			err := present(s, strange(t), netip.AddrFrom16(from))
			if n < login.ReadBurst {
				denied(t, what, err)
			} else {
				limited(t, what+", in a flood", err, login.ReadEvery)
			}
		}
		denied(t, what+", somebody else", present(s, strange(t), neighbour))
		w.clock.step(login.ReadEvery)
		denied(t, what+", later", present(s, strange(t), flooder))
	}
}

// Each exchange makes the API server write and delete a record. Their number is bounded for each
// user, however many logins the user has.
func TestRefresh_OneUserExchangesWithinABudget(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	at := s.pair()
	for n := range login.ExchangeBurst {
		if n%2 == 0 {
			at = s.good(at)
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
	limited(t, "a refresh", err, 100*time.Millisecond)
	_, err = s.Masquerade(t.Context(), at.Token.Digest(), map[string]int64{"acme": 1002, "globex": 1001}[at.Client.Name])
	limited(t, "a change of the account", err, 100*time.Millisecond)
	if err := s.attempt("alice", right); err != nil || !w.holds(at) {
		t.Errorf("a login: %v; the session goes on: %t", err, w.holds(at))
	}
	w.clock.step(time.Second)
	s.good(at)
}

// Reads from the API server are bounded, and requests about unknown sessions do not use up the
// reads for known sessions.
func TestStrangersDoNotKeepOthersFromTheirRetries(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	first := s.pair()
	last := s.good(first)
	strangers := 0
	unknown := func() error { // each time from another address
		strangers++
		_, err := s.Refresh(t.Context(), strange(t), "", netip.AddrFrom4([4]byte{198, 51, 100, byte(strangers)}), w.clock.now())
		return err
	}
	for range login.SureReads {
		denied(t, "unknown", unknown())
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
	next := s.good(first)
	if w.holds(last) {
		t.Error("the pair before is good too")
	}
	s.good(next)
	w.clock.step(time.Second)
	denied(t, "unknown, a second later", unknown())
}

// A client that keeps presenting refresh tokens other than the current one causes few reads for its
// session, and no other session waits for it.
func TestOneSessionDoesNotKeepOthersFromTheirRetries(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	theirs, mine := s.pair(), s.pair()
	for range login.SessionBurst {
		s.good(theirs)
	}
	s.good(theirs) // the first of these was no retry
	before := s.store.calls
	for range 100 {
		if _, err := s.refresh(theirs); !errors.Is(err, login.ErrUnavailable) {
			t.Fatalf("a retry, in a flood: %v", err)
		}
	}
	if n := s.store.calls - before; n != 100 { // each is looked up in the cache
		t.Errorf("%d calls for 100 retries", n)
	}
	s.good(mine)
	s.good(mine)
	w.clock.step(login.SessionEvery)
	s.good(theirs)
}
