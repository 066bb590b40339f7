package login_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
)

// limited asserts that err is *Limited with that wait.
func limited(t *testing.T, what string, err error, after time.Duration) {
	t.Helper()
	l, ok := errors.AsType[*login.Limited](err)
	switch {
	case !ok:
		t.Errorf("%s: %v, want Limited", what, err)
	case l.Error() != "too many attempts; try again in "+after.String():
		t.Errorf("%s: %v", what, l)
	case l.After != after:
		t.Errorf("%s: try again in %s, want %s", what, l.After, after)
	}
}

func TestANameCanBeTriedInVainSoOften(t *testing.T) {
	for _, name := range []string{"alice", "nobody"} { // row 27: the limit does not reveal which names exist
		w := newWorld(t)
		s := w.replica(nil)
		for n := range login.NameBurst {
			denied(t, fmt.Sprint("guess ", n), s.attempt(name, "a guess"))
		}
		limited(t, "at once", s.attempt(name, right), login.NameEvery)
		w.clock.step(login.NameEvery - time.Nanosecond)
		limited(t, "an instant before", s.attempt(name, right), time.Nanosecond)
		w.clock.step(time.Nanosecond)
		denied(t, "at that instant", s.attempt(name, "a guess"))
		limited(t, "and once more", s.attempt(name, "a guess"), login.NameEvery)
		w.clock.step(login.NameEvery + time.Nanosecond)
		denied(t, "an instant after", s.attempt(name, "a guess"))
		if err := s.attempt("bob", right); err != nil {
			t.Errorf("another name: %v", err)
		}
	}
}

func TestAnAddressCanTryInVainSoOften(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	try := func(from, name, secret string) error {
		_, err := s.Authenticate(t.Context(), login.Attempt{Username: name, Password: password.Take(secret), Source: netip.MustParseAddr(from)})
		return err
	}
	names := 0
	guess := func(from string) error {
		names++
		return try(from, fmt.Sprint("name ", names), "a guess")
	}
	for _, x := range []struct {
		one       string
		same, not []string
	}{
		{"192.0.2.7", []string{"::ffff:192.0.2.7"}, []string{"192.0.2.8", "::ffff:192.0.2.8", "::192.0.2.7"}},
		{"2001:db8:0:1::1", []string{"2001:db8:0:1:ffff::9"}, []string{"2001:db8:0:2::1", "2001:db8::1"}},
		{"fe80::1%eth0", []string{"fe80::2%eth0"}, []string{"fe80:0:0:1::1"}},
	} {
		for range login.AddressBurst {
			denied(t, x.one, guess(x.one))
		}
		limited(t, x.one, try(x.one, "alice", right), login.AddressEvery)
		for _, same := range x.same {
			limited(t, same, guess(same), login.AddressEvery)
		}
		for _, other := range x.not {
			if err := try(other, "alice", right); err != nil {
				t.Errorf("%s after %s: %v", other, x.one, err)
			}
		}
		w.clock.step(login.AddressEvery - time.Nanosecond)
		limited(t, x.one, guess(x.one), time.Nanosecond)
		w.clock.step(time.Nanosecond)
		if err := try(x.one, "alice", right); err != nil {
			t.Errorf("%s in time: %v", x.one, err)
		}
	}
}

// Callers with unknown addresses must not be able to guess for ever.
func TestThoseWhoseAddressIsNotKnownAreLimitedTogether(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	for n := range login.AddressBurst + 1 {
		_, err := s.Authenticate(t.Context(), login.Attempt{Username: fmt.Sprint("name ", n), Password: password.Take("a guess")})
		if n < login.AddressBurst {
			denied(t, fmt.Sprint("guess ", n), err)
		} else {
			limited(t, "one more", err, login.AddressEvery)
		}
	}
}

func TestTheLongerOfTwoWaitsIsTold(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	for n := range login.AddressBurst - login.NameBurst {
		denied(t, "from here", s.attempt(fmt.Sprint("name ", n), "a guess"))
	}
	for range login.NameBurst {
		denied(t, "alice", s.attempt("alice", "a guess"))
	}
	limited(t, "both are spent", s.attempt("alice", right), login.NameEvery)
	limited(t, "the address is", s.attempt("bob", right), login.AddressEvery)
}

// A name may succeed so often that no program is kept from its work, but not without limit.
func TestAuthenticate_SuccessesHaveAGenerousLimit(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	for n := range login.SuccessBurst {
		if err := s.attempt("alice", right); err != nil {
			t.Fatalf("login %d: %v", n, err)
		}
	}
	limited(t, "one more", s.attempt("alice", right), login.SuccessEvery)
	limited(t, "a guess", s.attempt("alice", "a guess"), login.SuccessEvery)
	if err := s.attempt("bob", right); err != nil {
		t.Errorf("another name, from the same address: %v", err)
	}
	w.clock.step(login.SuccessEvery - time.Nanosecond)
	limited(t, "an instant before", s.attempt("alice", right), time.Nanosecond)
	w.clock.step(time.Nanosecond)
	if err := s.attempt("alice", right); err != nil {
		t.Errorf("at that instant: %v", err)
	}
	for n := range 600 { // a minute
		w.clock.step(login.SuccessEvery)
		if err := s.attempt("alice", right); err != nil {
			t.Fatalf("one of many, %d: %v", n, err)
		}
	}
}

// A success counts for no limit of failures, and takes no failure back.
func TestASuccessCountsForNoLimitOfFailures(t *testing.T) {
	w := newWorld(t)
	s := w.replica(nil)
	for range login.NameBurst {
		if err := s.attempt("alice", right); err != nil {
			t.Errorf("between guesses: %v", err)
		}
		denied(t, "a guess", s.attempt("alice", "a guess"))
	}
	limited(t, "then", s.attempt("alice", right), login.NameEvery)
}
