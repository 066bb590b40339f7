package login_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
)

// otherAddress is an address from which no user has logged in.
var otherAddress = netip.MustParseAddr("198.51.100.9")

// present presents a name and a password with a request, and returns the client that it acts at.
func (s *testReplica) present(from netip.Addr, secret string, at login.AccountChoice) (string, error) {
	_, client, err := s.AuthenticateAt(s.fixture.t.Context(), attemptOf(from, secret), at)
	return client, err
}

func attemptOf(from netip.Addr, secret string) login.Attempt {
	return login.Attempt{Username: "alice", Password: password.NewSecret(secret), Source: from}
}

// isRecent reports whether a name and a password are accepted without a check of the password. No
// check can end meanwhile.
func (s *testReplica) isRecent(from netip.Addr, secret string) bool {
	s.fixture.t.Helper()
	release := s.HoldChecks()
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := s.AuthenticateAt(ctx, attemptOf(from, secret), login.AccountChoice{})
	_, isLimited := errors.AsType[*login.Limited](err)
	if err != nil && !errors.Is(err, login.ErrUnavailable) && !isLimited {
		s.fixture.t.Errorf("without a check: %v", err)
	}
	return err == nil
}

// remembered returns a replica that has found alice's password right.
func remembered(t *testing.T) (*fixture, *testReplica) {
	t.Helper()
	w := newFixture(t)
	s := w.newReplica(nil)
	if s.isRecent(clientAddress, rightPassword) {
		t.Fatal("it is known before any check")
	}
	if _, err := s.present(clientAddress, rightPassword, login.AccountChoice{}); err != nil {
		t.Fatal(err)
	}
	if !s.isRecent(clientAddress, rightPassword) {
		t.Fatal("it is not known after a check")
	}
	return w, s
}

func TestRecentCheck_EndsAfterAMinute(t *testing.T) {
	w, s := remembered(t)
	w.clock.advance(login.MaxCheckAge - time.Nanosecond)
	if !s.isRecent(clientAddress, rightPassword) {
		t.Error("an instant before its end")
	}
	w.clock.advance(time.Nanosecond)
	if s.isRecent(clientAddress, rightPassword) {
		t.Error("at its end")
	}
	if _, err := s.present(clientAddress, rightPassword, login.AccountChoice{}); err != nil || s.RecentChecks() != 1 {
		t.Errorf("after its end: %v, %d are kept", err, s.RecentChecks())
	}
}

func TestRecentCheck_EndsWithUserPasswordAndSuspension(t *testing.T) {
	for name, change := range map[string]func(*fixture, *login.User){
		"suspended":            func(_ *fixture, u *login.User) { u.Suspended = true },
		"another password":     func(_ *fixture, u *login.User) { u.Credential = "another" },
		"no password":          func(_ *fixture, u *login.User) { u.Credential = "" },
		"another user of it":   func(_ *fixture, u *login.User) { u.UID = "another" },
		"another username":     func(_ *fixture, u *login.User) { u.Username = "alice2" },
		"another user, too":    func(w *fixture, _ *login.User) { w.directory.SetUser(login.User{Name: "older", Username: "alice"}) },
		"a user who is gone":   func(w *fixture, u *login.User) { w.directory.RemoveUser("alice"); u.Name = "" },
		"an unrelated client":  func(w *fixture, _ *login.User) { w.directory.RemoveClient("initech") },
		"an account that goes": func(_ *fixture, u *login.User) { u.Accounts = u.Accounts[1:] },
	} {
		w, s := remembered(t)
		u := w.alice()
		change(w, &u)
		if u.Name != "" {
			w.directory.SetUser(u)
		}
		wanted := name == "an unrelated client" || name == "an account that goes"
		if s.isRecent(clientAddress, rightPassword) != wanted {
			t.Errorf("%s: it is known: %t", name, !wanted)
		}
		client, err := s.present(clientAddress, rightPassword, login.AccountChoice{})
		if name == "an account that goes" && (client != "globex" || err != nil) {
			t.Errorf("%s: at %q, %v", name, client, err)
		}
	}
}

// Threats row 27, and guessing. Only a right password is kept, and a wrong one is counted.
func TestRecentCheck_WrongPasswordIsCheckedAndCounted(t *testing.T) {
	_, s := remembered(t)
	for range login.NameBurst {
		_, err := s.present(otherAddress, rightPassword+"x", login.AccountChoice{})
		wantDenied(t, "a guess", err)
	}
	_, err := s.present(otherAddress, rightPassword+"x", login.AccountChoice{})
	wantLimited(t, "one more", err, login.NameEvery)
	if s.RecentChecks() != 1 {
		t.Errorf("%d are kept", s.RecentChecks())
	}
}

// The failures of another caller do not refuse the right password from where it was right before.
// Elsewhere the limits apply to it too: otherwise a caller beyond its limits could guess on.
func TestRecentCheck_LimitConcernsOtherAddresses(t *testing.T) {
	w, s := remembered(t)
	for range login.NameBurst {
		_, err := s.present(otherAddress, "a guess", login.AccountChoice{})
		wantDenied(t, "a guess", err)
	}
	if _, err := s.present(clientAddress, rightPassword, login.AccountChoice{}); err != nil {
		t.Errorf("the user, from the address before: %v", err)
	}
	_, err := s.present(otherAddress, rightPassword, login.AccountChoice{})
	wantLimited(t, "the right guess of a caller beyond its limits", err, login.NameEvery)

	w.clock.advance(login.NameEvery)
	if _, err := s.present(otherAddress, rightPassword, login.AccountChoice{}); err != nil {
		t.Errorf("from another address, within the limits: %v", err)
	}
}

// A caller behind the address of the user gains a few guesses, and then has the limits of all.
func TestRecentCheck_GuessesFromSameAddressAreBounded(t *testing.T) {
	_, s := remembered(t)
	for range login.NameBurst {
		_, err := s.present(clientAddress, "a guess", login.AccountChoice{})
		wantDenied(t, "a guess", err)
	}
	_, err := s.present(clientAddress, rightPassword, login.AccountChoice{})
	wantLimited(t, "after as many guesses as are allowed", err, login.NameEvery)
}

func TestRecentCheck_AccountIsChosenForEachRequest(t *testing.T) {
	w, s := remembered(t)
	for range 2 { // the second time without the directory
		for name, x := range map[string]struct {
			at     login.AccountChoice
			client string // empty: an error
		}{
			"none":                        {login.AccountChoice{}, "acme"},
			"by its account ID":           {login.AccountChoice{ID: 1002}, "globex"},
			"by an account ID of others":  {login.AccountChoice{ID: 1003}, ""},
			"preferred":                   {login.AccountChoice{Preferred: "globex"}, "globex"},
			"preferred, of others":        {login.AccountChoice{Preferred: "initech"}, "acme"},
			"by its ID, not as preferred": {login.AccountChoice{ID: 1001, Preferred: "globex"}, "acme"},
		} {
			if client, err := s.present(clientAddress, rightPassword, x.at); client != x.client || (err != nil) != (x.client == "") {
				t.Errorf("%s: at %q, %v", name, client, err)
			}
		}
	}
	c := w.client("globex")
	c.Suspended = true
	w.directory.SetClient(c)
	if client, err := s.present(clientAddress, rightPassword, login.AccountChoice{ID: 1002}); err == nil {
		t.Errorf("at a suspended client: %q", client)
	}
}

func TestRecentCheck_NumberIsBounded(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	for i := range 2 * login.MaxRecentChecks {
		u := w.user(fmt.Sprint("user", i), "acme")
		w.directory.SetUser(u)
		s.Remember(login.Attempt{Username: u.Username, Password: password.NewSecret(rightPassword), Source: clientAddress}, u)
	}
	if n := s.RecentChecks(); n > login.MaxRecentChecks || n < login.MaxRecentChecks/2 {
		t.Errorf("%d are kept", n)
	}
	w.clock.advance(login.MaxCheckAge)
	s.Remember(attemptOf(clientAddress, rightPassword), w.alice())
	if n := s.RecentChecks(); n != 1 {
		t.Errorf("%d are kept after their end", n)
	}
}

// A login opens a token, and needs a check of its own.
func TestRecentCheck_AnswersNoLogin(t *testing.T) {
	_, s := remembered(t)
	release := s.HoldChecks()
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, authenticate := range map[string]func(context.Context, login.Attempt) (login.User, error){
		"a login": s.Authenticate, "a change": s.AuthenticateOnce,
	} {
		if _, err := authenticate(ctx, attemptOf(clientAddress, rightPassword)); !errors.Is(err, login.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.AuthenticateRecent(ctx, attemptOf(clientAddress, rightPassword)); err != nil {
		t.Errorf("a request that reads: %v", err)
	}
}

func TestRecentCheck_CostsNoAllocation(t *testing.T) {
	_, s := remembered(t)
	a, at := attemptOf(clientAddress, rightPassword), login.AccountChoice{Preferred: "globex"}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		if _, client, err := s.AuthenticateAt(ctx, a, at); client != "globex" || err != nil {
			t.Fatal(client, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRecentCheck(b *testing.B) {
	w := newFixture(&testing.T{})
	s := w.newReplica(nil)
	s.Remember(attemptOf(clientAddress, rightPassword), w.alice())
	a := attemptOf(clientAddress, rightPassword)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, _, err := s.AuthenticateAt(context.Background(), a, login.AccountChoice{}); err != nil {
				b.Error(err)
			}
		}
	})
}
