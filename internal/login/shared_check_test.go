package login_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/apptoken/operator/internal/login"
)

// A gateway sends the requests of a program at once, each with the same name and password. They
// come from several addresses.
func TestSharedCheck_BurstHasOneCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s := w.newReplica(nil)
		release := s.HoldChecks()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if _, err := s.present(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), rightPassword, login.AccountChoice{}); err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			})
		}
		synctest.Wait()
		if n := s.SharedChecks(); n != 100 {
			t.Errorf("%d requests share a check", n)
		}
		release()
		all.Wait()
		if n := s.SharedChecks(); n != 0 {
			t.Errorf("%d requests wait at the end", n)
		}
	})
}

// A caller that goes leaves no check behind, unless others wait for it.
func TestSharedCheck_EndsWithLastRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		s := w.newReplica(nil)
		hold := s.HoldChecks()
		// One check waits for its turn behind another one, and can still be withdrawn.
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := s.Authenticate(t.Context(), login.Attempt{Username: "bob", Password: attemptOf(clientAddress, rightPassword).Password, Source: otherAddress}); err != nil {
				t.Errorf("bob: %v", err)
			}
		})
		synctest.Wait()
		first, leaveFirst := context.WithCancel(t.Context())
		second, leaveSecond := context.WithCancel(t.Context())
		for _, ctx := range []context.Context{first, second} {
			all.Go(func() {
				if _, err := s.AuthenticateOnce(ctx, attemptOf(clientAddress, rightPassword)); !errors.Is(err, login.ErrUnavailable) {
					t.Errorf("a request that went: %v", err)
				}
			})
		}
		synctest.Wait()
		leaveFirst()
		synctest.Wait()
		if n := s.SharedChecks(); n != 1 {
			t.Errorf("%d requests wait after one went", n)
		}
		leaveSecond()
		synctest.Wait()
		if n := s.SharedChecks(); n != 0 {
			t.Errorf("%d requests wait after both went", n)
		}
		hold()
		all.Wait()
		if n := s.RecentChecks(); n != 0 {
			t.Errorf("%d checks ended without a request", n)
		}
	})
}

// The limits of one address do not decide about another.
func TestSharedCheck_LimitedAddressJoinsNone(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	for range login.NameBurst {
		_, err := s.AuthenticateOnce(t.Context(), attemptOf(otherAddress, "a guess"))
		wantDenied(t, "a guess", err)
	}
	_, err := s.AuthenticateOnce(t.Context(), attemptOf(otherAddress, rightPassword))
	wantLimited(t, "the right password from there", err, login.NameEvery)
}

// A request that may not wait is answered by a recent check alone.
func TestSharedCheck_UnadmittedRequestDoesNotWait(t *testing.T) {
	_, s := remembered(t)
	refused := func() bool { return false }
	known, unknown := attemptOf(clientAddress, rightPassword), attemptOf(clientAddress, "a guess")
	known.Admits, unknown.Admits = refused, refused
	if _, _, err := s.AuthenticateAt(t.Context(), known, login.AccountChoice{}); err != nil {
		t.Errorf("a known password: %v", err)
	}
	if _, _, err := s.AuthenticateAt(t.Context(), unknown, login.AccountChoice{}); !errors.Is(err, login.ErrUnavailable) {
		t.Errorf("another one: %v", err)
	}
}
