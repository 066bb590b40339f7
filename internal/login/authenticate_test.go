package login_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
)

func (s *testReplica) attempt(username, secret string) error {
	_, err := s.Authenticate(s.fixture.t.Context(), login.Attempt{Username: username, Password: password.NewSecret(secret), Source: clientAddress})
	return err
}

// Threats row 27: a rejected caller learns nothing else. Rows 1 and 21: nothing is written.
func TestAuthenticate_RejectsAllOthersAlike(t *testing.T) {
	w := newFixture(t)
	argon, err := password.Hash(password.NewSecret(rightPassword), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := password.ParsePlain(rightPassword)
	if err != nil {
		t.Fatal(err)
	}
	for name, but := range map[string]func(*login.User){
		"argon":     func(u *login.User) { u.Password = parseHash(t, argon) },
		"plain":     func(u *login.User) { u.Password, u.Credential = plain, "of a plain one" },
		"suspended": func(u *login.User) { u.Suspended = true },
		"none":      func(u *login.User) { u.Password, u.Credential = password.Stored{}, "" },
		"unchecked": func(u *login.User) { u.Credential = "" },
		"unread":    func(u *login.User) { u.Password = password.Stored{} },
	} {
		u := w.user(name, "acme")
		but(&u)
		w.directory.SetUser(u)
	}
	s := w.newReplica(nil)
	for what, x := range map[string]struct {
		username, secret string
		is               string
	}{
		"bcrypt, right":                         {"alice", rightPassword, "alice"},
		"argon2id, right":                       {"argon", rightPassword, "argon"},
		"plain, right":                          {"plain", rightPassword, "plain"},
		"bcrypt, wrong":                         {"alice", "wrong", ""},
		"argon2id, wrong":                       {"argon", "wrong", ""},
		"plain, wrong":                          {"plain", "wrong", ""},
		"plain, a part of it":                   {"plain", rightPassword[1:], ""},
		"nothing":                               {"alice", "", ""},
		"what no password can be":               {"alice", rightPassword + "\x00", ""},
		"unknown":                               {"mallory", rightPassword, ""},
		"no name":                               {"", rightPassword, ""},
		"the name in capitals":                  {"ALICE", rightPassword, ""},
		"suspended":                             {"suspended", rightPassword, ""},
		"without a password":                    {"none", rightPassword, ""},
		"without a password, and none is given": {"none", "", ""},
		"without a fingerprint":                 {"unchecked", rightPassword, ""},
		"with a password that cannot be read":   {"unread", rightPassword, ""},
	} {
		u, err := s.Authenticate(t.Context(), login.Attempt{Username: x.username, Password: password.NewSecret(x.secret), Source: clientAddress})
		switch {
		case x.is == "":
			wantDenied(t, what, err)
			if u.Name != "" {
				t.Errorf("%s: the response states that this is %s", what, u.Name)
			}
		case err != nil || u.Name != x.is:
			t.Errorf("%s: %q, %v", what, u.Name, err)
		}
	}
	if s.store.calls != 0 {
		t.Errorf("the store was called %d times", s.store.calls)
	}
}

func TestAuthenticate_EmptyDirectoryDeniesAll(t *testing.T) {
	w := newFixture(t)
	w.directory.RemoveUser("alice")
	w.directory.RemoveUser("bob")
	wantDenied(t, "absent", w.newReplica(nil).attempt("alice", rightPassword))
}

func TestAuthenticate_UsernameAdmitsItsHolderOnly(t *testing.T) {
	w := newFixture(t)
	younger := w.user("a-namesake", "initech")
	younger.Username, younger.CreatedAt = "alice", noon.Add(time.Second)
	holder := w.alice()
	holder.HoldsUsername = true
	w.directory.SetUser(holder)
	plain, err := password.ParsePlain("of the younger")
	if err != nil {
		t.Fatal(err)
	}
	younger.Password, younger.Credential = plain, "of a plain one"
	w.directory.SetUser(younger)
	s := w.newReplica(nil)
	wantDenied(t, "the younger", s.attempt("alice", "of the younger"))
	if err := s.attempt("alice", rightPassword); err != nil {
		t.Errorf("the older: %v", err)
	}
	holder.Suspended = true
	w.directory.SetUser(holder)
	wantDenied(t, "the younger, while the older is suspended", s.attempt("alice", "of the younger"))
	w.directory.RemoveUser("alice")
	if err := s.attempt("alice", "of the younger"); err != nil {
		t.Errorf("the younger, once the older has gone: %v", err)
	}
}

// attemptFrom makes an attempt from an address.
func (s *testReplica) attemptFrom(address netip.Addr, name, secret string) error {
	_, err := s.Authenticate(s.fixture.t.Context(), login.Attempt{Username: name, Password: password.NewSecret(secret), Source: address})
	return err
}

// Many guesses that were admitted together are each checked against the limits again when their
// turn comes, and counted before the next.
func TestAuthenticate_ConcurrentGuessesStayWithinLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s := w.newReplica(nil)
		release := s.HoldChecks()
		const guesses = 2 * login.AddressBurst
		said := make(chan error, guesses)
		for n := range guesses {
			go func() { said <- s.attempt(fmt.Sprint("name ", n), "a guess") }()
		}
		synctest.Wait()
		select {
		case err := <-said:
			t.Fatalf("nothing was checked, and the error is %v", err)
		default:
		}
		release()
		checked := 0
		for range guesses {
			err := <-said
			_, limited := errors.AsType[*login.Limited](err)
			switch {
			case errors.Is(err, login.ErrDenied):
				checked++
			case !limited:
				t.Errorf("a guess: %v", err)
			}
		}
		if checked != login.AddressBurst {
			t.Errorf("%d guesses were checked, want %d", checked, login.AddressBurst)
		}
	})
}

// Two checks of one name from one source run or wait, whether or not a user has the name. Checks of
// that name from elsewhere do too.
func TestAuthenticate_AtMostTwoChecksPerNameAtSource(t *testing.T) {
	for name, x := range map[string]struct {
		secret string
		in     bool
	}{"alice": {rightPassword, true}, "absent": {rightPassword, false}, "bob": {"a guess", false}} {
		synctest.Test(t, func(t *testing.T) {
			w := newFixture(t)
			s := w.newReplica(nil)
			release := s.HoldChecks()
			said := make(chan error, 3)
			for range 2 {
				go func() { said <- s.attempt(name, x.secret) }()
			}
			synctest.Wait()
			for range 100 {
				wantLimited(t, name, s.attempt(name, x.secret), time.Second)
			}
			go func() { said <- s.attemptFrom(netip.MustParseAddr("192.0.2.8"), name, x.secret) }()
			synctest.Wait()
			release()
			for range 3 {
				if err := <-said; (err == nil) != x.in {
					t.Errorf("%s, one of three: %v", name, err)
				}
			}
			if err := s.attempt(name, x.secret); (err == nil) != x.in {
				t.Errorf("%s, afterwards: %v", name, err)
			}
		})
	}
}

// A client that knows a password sends it without end. All other users log in meanwhile: each waits
// for two checks of the flood at most, from whatever address.
func TestAuthenticate_FloodOfOneUserLeavesOthers(t *testing.T) {
	for what, address := range map[string]netip.Addr{"from the same address": clientAddress, "from another": netip.MustParseAddr("192.0.2.8")} {
		synctest.Test(t, func(t *testing.T) {
			w := newFixture(t)
			s := w.newReplica(nil)
			release := s.HoldChecks()
			flood, others := make(chan error, 500), make(chan error, 1)
			for range 250 {
				go func() { flood <- s.attempt("alice", rightPassword) }()
			}
			synctest.Wait()
			go func() { others <- s.attemptFrom(address, "bob", rightPassword) }()
			synctest.Wait()
			for range 250 {
				go func() { flood <- s.attempt("alice", rightPassword) }()
			}
			synctest.Wait()
			if n := len(flood); n != 498 {
				t.Errorf("%s: %d of the flood were answered at once, want all but two", what, n)
			}
			release()
			if err := <-others; err != nil {
				t.Errorf("%s: another user: %v", what, err)
			}
			in := 0
			for range 500 {
				err := <-flood
				if _, limited := errors.AsType[*login.Limited](err); err != nil && !limited {
					t.Errorf("%s: one of the flood: %v", what, err)
				}
				if err == nil {
					in++
				}
			}
			if in != 2 {
				t.Errorf("%s: %d of the flood were checked, want 2", what, in)
			}
		})
	}
}

// A source has a share of the waiting checks, whatever names it sends.
func TestAuthenticate_FloodOfOneSourceLeavesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s := w.newReplica(nil)
		release := s.HoldChecks()
		flood, others := make(chan error, 10_000), make(chan error, 1)
		for n := range 10_000 {
			from := [16]byte{0: 0x20, 1: 0x01, 14: byte(n >> 8), 15: byte(n)} // of one subscriber
			go func() { flood <- s.attemptFrom(netip.AddrFrom16(from), fmt.Sprint("name ", n), "a guess") }()
		}
		synctest.Wait()
		if n, want := 10_000-len(flood), (1+login.MaxWaitingPerCheck)/2; n != want {
			t.Errorf("%d checks of one source run or wait, want %d", n, want)
		}
		go func() { others <- s.attempt("bob", rightPassword) }()
		synctest.Wait()
		release()
		if err := <-others; err != nil {
			t.Errorf("another user: %v", err)
		}
		for range 10_000 {
			<-flood
		}
	})
}

// Threats row 14: the number of waiting checks is bounded.
func TestAuthenticate_FullQueueIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s := w.newReplica(nil)
		release := s.HoldChecks()
		const fit = 1 + login.MaxWaitingPerCheck // one check runs
		said := make(chan error, fit)
		come := func(n int) error { // each from another address, so that none has to make room for another
			return s.attemptFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), fmt.Sprint("name ", n), "a guess")
		}
		for n := range fit {
			go func() { said <- come(n) }()
		}
		synctest.Wait()
		err := s.attempt("alice", rightPassword)
		if !errors.Is(err, login.ErrUnavailable) || !errors.Is(err, password.ErrBusy) || errors.Is(err, login.ErrDenied) {
			t.Errorf("one more: %v", err)
		}
		release()
		for range fit {
			wantDenied(t, "one who waited", <-said)
		}
		if err := s.attempt("alice", rightPassword); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// A check that waited in vain is not reported as a wrong password, and does not count as a failure.
func TestAuthenticate_TimeoutCountsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s := w.newReplica(nil)
		release := s.HoldChecks()
		first := make(chan error)
		go func() { first <- s.attempt("alice", rightPassword) }()
		synctest.Wait()
		began := time.Now()
		for n := range 2 * login.NameBurst {
			go func() {
				_, _ = s.Authenticate(t.Context(), login.Attempt{Username: fmt.Sprint("name ", n), Password: password.NewSecret("a guess"), Source: clientAddress})
			}()
		}
		err := s.attempt("alice", "a guess")
		if !errors.Is(err, login.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != login.MaxCheckWait {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		synctest.Wait()
		release()
		if err := <-first; err != nil { // its turn had come
			t.Errorf("the first: %v", err)
		}
		if err := s.attempt("alice", rightPassword); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestAuthenticate_CanceledRequestIsUnavailable(t *testing.T) {
	w := newFixture(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.newReplica(nil).Authenticate(gone, login.Attempt{Username: "alice", Password: password.NewSecret(rightPassword), Source: clientAddress})
	if !errors.Is(err, login.ErrUnavailable) || errors.Is(err, login.ErrDenied) {
		t.Error(err)
	}
}

// A change to a user while their password waits to be checked takes effect.
func TestAuthenticate_UserChangeDuringWaitDenies(t *testing.T) { // [3.7] [row 2]
	for what, change := range map[string]func(*fixture){
		"suspended":        func(w *fixture) { u := w.alice(); u.Suspended = true; w.directory.SetUser(u) },
		"deleted":          func(w *fixture) { w.directory.RemoveUser("alice") },
		"another password": func(w *fixture) { u := w.alice(); u.Credential = "another"; w.directory.SetUser(u) },
		"a namesake":       func(w *fixture) { u := w.alice(); u.UID = "another"; w.directory.SetUser(u) },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newFixture(t)
			s := w.newReplica(nil)
			release := s.HoldChecks()
			said := make(chan error)
			go func() { said <- s.attempt("alice", rightPassword) }()
			synctest.Wait()
			change(w)
			release()
			wantDenied(t, what, <-said)
		})
	}
}
