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

// wantLimited asserts that err is *Limited with that wait.
func wantLimited(t *testing.T, what string, err error, after time.Duration) {
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

func TestAuthenticate_NameFailuresAreLimited(t *testing.T) {
	for _, name := range []string{"alice", "absent"} { // row 27: the limit does not reveal which names exist
		w := newFixture(t)
		s := w.newReplica(nil)
		for n := range login.NameBurst {
			wantDenied(t, fmt.Sprint("guess ", n), s.attempt(name, "a guess"))
		}
		wantLimited(t, "at once", s.attempt(name, rightPassword), login.NameEvery)
		w.clock.advance(login.NameEvery - time.Nanosecond)
		wantLimited(t, "an instant before", s.attempt(name, rightPassword), time.Nanosecond)
		w.clock.advance(time.Nanosecond)
		wantDenied(t, "at that instant", s.attempt(name, "a guess"))
		wantLimited(t, "and once more", s.attempt(name, "a guess"), login.NameEvery)
		w.clock.advance(login.NameEvery + time.Nanosecond)
		wantDenied(t, "an instant after", s.attempt(name, "a guess"))
		if err := s.attempt("bob", rightPassword); err != nil {
			t.Errorf("another name: %v", err)
		}
	}
}

func TestAuthenticate_AddressFailuresAreLimited(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	try := func(from, name, secret string) error {
		_, err := s.Authenticate(t.Context(), login.Attempt{Username: name, Password: password.NewSecret(secret), Source: netip.MustParseAddr(from)})
		return err
	}
	names := 0
	guess := func(from string) error {
		names++
		return try(from, fmt.Sprint("name ", names), "a guess")
	}
	for _, x := range []struct {
		testReplica string
		same, not   []string
	}{
		{"192.0.2.7", []string{"::ffff:192.0.2.7"}, []string{"192.0.2.8", "::ffff:192.0.2.8", "::192.0.2.7"}},
		{"2001:db8:0:1::1", []string{"2001:db8:0:1:ffff::9"}, []string{"2001:db8:0:2::1", "2001:db8::1"}},
		{"fe80::1%eth0", []string{"fe80::2%eth0"}, []string{"fe80:0:0:1::1"}},
	} {
		for range login.AddressBurst {
			wantDenied(t, x.testReplica, guess(x.testReplica))
		}
		wantLimited(t, x.testReplica, try(x.testReplica, "alice", rightPassword), login.AddressEvery)
		for _, same := range x.same {
			wantLimited(t, same, guess(same), login.AddressEvery)
		}
		for _, other := range x.not {
			if err := try(other, "alice", rightPassword); err != nil {
				t.Errorf("%s after %s: %v", other, x.testReplica, err)
			}
		}
		w.clock.advance(login.AddressEvery - time.Nanosecond)
		wantLimited(t, x.testReplica, guess(x.testReplica), time.Nanosecond)
		w.clock.advance(time.Nanosecond)
		if err := try(x.testReplica, "alice", rightPassword); err != nil {
			t.Errorf("%s in time: %v", x.testReplica, err)
		}
	}
}

// Callers with unknown addresses must not be able to guess for ever.
func TestAuthenticate_UnknownAddressesShareOneLimit(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	for n := range login.AddressBurst + 1 {
		_, err := s.Authenticate(t.Context(), login.Attempt{Username: fmt.Sprint("name ", n), Password: password.NewSecret("a guess")})
		if n < login.AddressBurst {
			wantDenied(t, fmt.Sprint("guess ", n), err)
		} else {
			wantLimited(t, "one more", err, login.AddressEvery)
		}
	}
}

func TestAuthenticate_ReportsLongestWait(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	for n := range login.AddressBurst - login.NameBurst {
		wantDenied(t, "from here", s.attempt(fmt.Sprint("name ", n), "a guess"))
	}
	for range login.NameBurst {
		wantDenied(t, "alice", s.attempt("alice", "a guess"))
	}
	wantLimited(t, "both are spent", s.attempt("alice", rightPassword), login.NameEvery)
	wantLimited(t, "the address is", s.attempt("bob", rightPassword), login.AddressEvery)
}

// A name may succeed so often that no program is kept from its work, but not without limit.
func TestAuthenticate_SuccessesAreLimitedGenerously(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	for n := range login.SuccessBurst {
		if err := s.attempt("alice", rightPassword); err != nil {
			t.Fatalf("login %d: %v", n, err)
		}
	}
	wantLimited(t, "one more", s.attempt("alice", rightPassword), login.SuccessEvery)
	wantLimited(t, "a guess", s.attempt("alice", "a guess"), login.SuccessEvery)
	if err := s.attempt("bob", rightPassword); err != nil {
		t.Errorf("another name, from the same address: %v", err)
	}
	w.clock.advance(login.SuccessEvery - time.Nanosecond)
	wantLimited(t, "an instant before", s.attempt("alice", rightPassword), time.Nanosecond)
	w.clock.advance(time.Nanosecond)
	if err := s.attempt("alice", rightPassword); err != nil {
		t.Errorf("at that instant: %v", err)
	}
	for n := range 600 { // a minute
		w.clock.advance(login.SuccessEvery)
		if err := s.attempt("alice", rightPassword); err != nil {
			t.Fatalf("one of many, %d: %v", n, err)
		}
	}
}

// A success counts for no limit of failures, and takes no failure back.
func TestAuthenticate_SuccessLeavesFailureLimits(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	for range login.NameBurst {
		if err := s.attempt("alice", rightPassword); err != nil {
			t.Errorf("between guesses: %v", err)
		}
		wantDenied(t, "a guess", s.attempt("alice", "a guess"))
	}
	wantLimited(t, "then", s.attempt("alice", rightPassword), login.NameEvery)
}
