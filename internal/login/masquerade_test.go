package login_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

func TestMasquerade_ReplacesLogin(t *testing.T) {
	for account, name := range map[int64]string{1002: "globex"} {
		w := newFixture(t)
		s := w.newReplica(nil)
		first, other := s.openRefreshable(), s.openRefreshable()
		w.clock.advance(time.Minute)
		got, err := s.Masquerade(t.Context(), first.Token.Digest(), account)
		if err != nil {
			t.Fatal(err)
		}
		if got.Client.Name != name || got.Record.Client != name || got.Token.Kind() != token.Login || got.GUID() == first.GUID() {
			t.Errorf("%+v", got.Record)
		}
		if r := got.Record; !r.ExpiresAt.Equal(first.Record.ExpiresAt) || r.Predecessor != first.Record.Name() || r.Credential != first.Record.Credential {
			t.Errorf("%+v", r)
		}
		want := &record.Refresh{
			Digest: got.Refresh.Digest(), Family: got.Refresh.Family().Digest(), ExpiresAt: first.Record.Refresh.ExpiresAt,
		}
		if !reflect.DeepEqual(got.Record.Refresh, want) || want.Family == first.Record.Refresh.Family {
			t.Errorf("%+v, want %+v", got.Record.Refresh, want)
		}
		if w.isValid(first) || !w.endedDigests[first.Token.Digest()] || !w.isValid(got) || !w.isValid(other) || len(w.allRecords()) != 2 {
			t.Errorf("the one before is good: %t; %d records", w.isValid(first), len(w.allRecords()))
		}
		_, err = s.refresh(first)
		wantDenied(t, "the refresh token before", err)
		_, err = s.Masquerade(t.Context(), first.Token.Digest(), account)
		wantDenied(t, "once more", err)
		checkNoSecrets(t, got, got.Record)
		s.mustRefresh(got)
		s.mustRefresh(other)
	}
}

func TestMasquerade_AddsNoRefreshToken(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	got, err := s.Masquerade(t.Context(), s.open("acme", login.Terms{Kind: token.Login}).Token.Digest(), 1002)
	if err != nil || got.Refresh.Kind() != 0 || got.Record.Refresh != nil || !w.isValid(got) {
		t.Errorf("%v, %+v", err, got.Record)
	}
}

func TestMasquerade_RejectionLeavesLogin(t *testing.T) {
	forbidden := func(err error) bool { _, ok := errors.AsType[*login.Forbidden](err); return ok }
	invalid := func(err error) bool {
		i, ok := errors.AsType[*login.Invalid](err)
		return ok && i.Field == "account_id"
	}
	isDenied := func(err error) bool { return errors.Is(err, login.ErrDenied) }
	for what, x := range map[string]struct {
		terms   login.Terms
		account int64
		after   time.Duration
		want    func(error) bool
	}{
		"to an account of others":            {login.Terms{Kind: token.Login, Refreshable: true}, 1003, 0, invalid},
		"to an unknown account":              {login.Terms{Kind: token.Login, Refreshable: true}, 9999, 0, invalid},
		"to none":                            {login.Terms{Kind: token.Login, Refreshable: true}, 0, 0, invalid},
		"with a session token":               {login.Terms{Kind: token.Session, Source: clientAddress}, 1002, 0, forbidden},
		"with an open token":                 {login.Terms{Kind: token.Open, Lifetime: time.Hour}, 1002, 0, forbidden},
		"at its end":                         {login.Terms{Kind: token.Login}, 1002, time.Hour, isDenied},
		"at its end, if it can be refreshed": {login.Terms{Kind: token.Login, Refreshable: true}, 1002, time.Hour, isDenied},
	} {
		w := newFixture(t)
		s := w.newReplica(nil)
		o := s.open("acme", x.terms)
		w.clock.advance(x.after)
		got, err := s.Masquerade(t.Context(), o.Token.Digest(), x.account)
		if !x.want(err) || got.Token.Kind() != 0 || len(w.allRecords()) != 1 || !w.isValid(o) {
			t.Errorf("%s: %v, and %d records", what, err, len(w.allRecords()))
		}
	}
	w := newFixture(t)
	_, err := w.newReplica(nil).Masquerade(t.Context(), token.Digest{1}, 1002)
	wantDenied(t, "with none", err)
}

func TestExchange_FailedEntropyChangesNothing(t *testing.T) {
	for what, do := range map[string]func(*testReplica, login.Opened) (login.Opened, error){
		"a refresh": func(s *testReplica, o login.Opened) (login.Opened, error) { return s.refresh(o) },
		"a change of the account": func(s *testReplica, o login.Opened) (login.Opened, error) {
			return s.Masquerade(t.Context(), o.Token.Digest(), 1002)
		},
	} {
		need := map[string]int{"a refresh": 32 + 16, "a change of the account": 32 + 16 + 16}[what]
		for n := range need {
			w := newFixture(t)
			s := w.newReplica(nil)
			o := s.openRefreshable()
			s.Entropy = bytes.NewReader(make([]byte, n))
			got, err := do(s, o)
			if !errors.Is(err, login.ErrUnavailable) || got.Token.Reveal() != "" || len(w.allRecords()) != 1 || !w.isValid(o) {
				t.Errorf("%s with %d bytes: %v, and %d records", what, n, err, len(w.allRecords()))
			}
			s.Entropy = rand.Reader
			s.mustRefresh(o)
		}
	}
}
