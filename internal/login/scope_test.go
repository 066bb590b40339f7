package login_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// heldPermissions returns the permissions of every user in the tests of scopes.
func heldPermissions(login.User, login.Client) []string { return []string{"search.*"} }

// exchange presents the refresh token of a pair with a scope.
func (s *testReplica) exchange(o login.Opened, scope ...string) (login.Opened, error) {
	return s.Exchange(s.fixture.t.Context(), login.RefreshRequest{
		Presented: o.Refresh, Source: clientAddress, Arrived: s.fixture.clock.now(), Permissions: scope, Held: heldPermissions,
	})
}

func TestScope_EveryReplacementKeepsThatOfSession(t *testing.T) {
	for name, x := range map[string]struct {
		session, narrow []string
	}{
		"a narrowed session":      {[]string{"search.query", "search.update"}, []string{"search.query"}},
		"a session of everything": {nil, []string{"search.query"}},
	} {
		w := newFixture(t)
		s := w.newReplica(nil)
		first := s.open("acme", login.Terms{Kind: token.Login, Refreshable: true, Permissions: x.session})
		w.clock.advance(time.Minute)
		narrow, err := s.exchange(first, x.narrow...)
		if err != nil || !slices.Equal(narrow.Record.Permissions, x.narrow) || !slices.Equal(narrow.Record.SessionPermissions(), x.session) {
			t.Fatalf("%s: %v %+v", name, err, narrow.Record)
		}
		retried, err := s.exchange(first) // its response was lost
		if err != nil || !slices.Equal(retried.Record.Permissions, x.session) {
			t.Errorf("%s, a retry without a scope: %v %+v", name, err, retried.Record)
		}
		w.clock.advance(time.Minute)
		again, err := s.exchange(retried, x.narrow...)
		if err != nil {
			t.Fatal(err)
		}
		var forbidden *login.Forbidden
		if _, err := s.Masquerade(t.Context(), again.Token.Digest(), 1002); !errors.As(err, &forbidden) || !w.isValid(again) {
			t.Errorf("%s, at another client: %v", name, err)
		}
		w.clock.advance(time.Minute)
		last, err := s.exchange(again)
		if err != nil || !slices.Equal(last.Record.Permissions, x.session) {
			t.Errorf("%s, refreshed: %v %+v", name, err, last.Record)
		}
	}
}

func TestScope_RefusedOneChangesNothing(t *testing.T) {
	for name, x := range map[string]struct{ session, scope []string }{
		"beyond the session":  {[]string{"search.query"}, []string{"search.update"}},
		"beyond the user":     {nil, []string{"sec.token.revoke"}},
		"partly beyond":       {[]string{"search.query"}, []string{"search.query", "search.update"}},
		"a wildcard over it":  {[]string{"search.query"}, []string{"search.*"}},
		"what the user lost":  {[]string{"sec.token.revoke"}, []string{"sec.token.revoke"}},
		"what is no name":     {nil, []string{"..."}},
		"everything there is": {nil, []string{"*"}},
	} {
		w := newFixture(t)
		s := w.newReplica(nil)
		first := s.open("acme", login.Terms{Kind: token.Login, Refreshable: true, Permissions: x.session})
		_, err := s.exchange(first, x.scope...)
		if _, is := errors.AsType[*login.InvalidScope](err); !is || len(w.allRecords()) != 1 || !w.isValid(first) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.exchange(first); err != nil {
			t.Errorf("%s: the refresh token is used up: %v", name, err)
		}
	}
}

// An older CustomResourceDefinition drops the fields of a narrower refresh. That must not widen the
// session.
func TestScope_DroppedFieldsWidenNothing(t *testing.T) {
	r := record.Record{Permissions: []string{"search.query"}, Refresh: &record.Refresh{}}
	if got := r.SessionPermissions(); !slices.Equal(got, r.Permissions) {
		t.Errorf("%q", got)
	}
}
