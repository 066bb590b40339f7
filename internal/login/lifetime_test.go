package login_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

const day = 24 * time.Hour

// setPolicy changes the login policy of a client.
func (w *fixture) setPolicy(client string, change func(*login.Client)) {
	c := w.client(client)
	change(&c)
	w.directory.SetClient(c)
}

// setMaxSession sets the maximum session lifetime of all clients.
func (w *fixture) setMaxSession(most time.Duration) {
	for _, name := range []string{"acme", "globex"} {
		w.setPolicy(name, func(c *login.Client) { c.MaxSessionLifetime = most })
	}
}

// lastExpiry returns the instant at which the last credential of a login expires.
func lastExpiry(r record.Record) time.Time {
	if r.Refresh != nil && r.Refresh.ExpiresAt.After(r.ExpiresAt) {
		return r.Refresh.ExpiresAt
	}
	return r.ExpiresAt
}

func TestMasquerade_SameAccountIsRejected(t *testing.T) {
	for what, terms := range map[string]login.Terms{
		"a login":                    {Kind: token.Login},
		"one that can be refreshed":  {Kind: token.Login, Refreshable: true},
		"one that is for long":       {Kind: token.Login, Remember: true},
		"one that is for long, both": {Kind: token.Login, Remember: true, Refreshable: true},
	} {
		w := newFixture(t)
		s := w.newReplica(nil)
		o := s.open("acme", terms)
		got, err := s.Masquerade(t.Context(), o.Token.Digest(), 1001)
		i, ok := errors.AsType[*login.Invalid](err)
		if !ok || i.Field != "account_id" || !strings.Contains(i.Message, "already") {
			t.Errorf("%s: %v", what, err)
		}
		if got.Token.Kind() != 0 || len(w.allRecords()) != 1 || !w.isValid(o) {
			t.Errorf("%s: %d records, and the login is good: %t", what, len(w.allRecords()), w.isValid(o))
		}
	}
}

// Whatever the policy of the other client, no login that comes of a change of the account outlives
// the previous one.
func TestMasquerade_NeverOutlivesLogin(t *testing.T) {
	generous := func(c *login.Client) {
		c.LoginLifetime, c.RememberedLifetime, c.RefreshLifetime, c.MaxSessionLifetime = 100*day, 200*day, 300*day, 0
	}
	for what, terms := range map[string]login.Terms{
		"a login":                   {Kind: token.Login},
		"one that can be refreshed": {Kind: token.Login, Refreshable: true},
		"one that is for long":      {Kind: token.Login, Remember: true},
	} {
		w := newFixture(t)
		w.setPolicy("globex", generous)
		s := w.newReplica(nil)
		first := s.open("acme", terms)
		last, at := first, first
		for n, account := range []int64{1002, 1001, 1002, 1001} { // to and fro
			w.clock.advance(time.Minute)
			got, err := s.Masquerade(t.Context(), at.Token.Digest(), account)
			if err != nil {
				t.Fatalf("%s, change %d: %v", what, n, err)
			}
			if got.Record.ExpiresAt.After(at.Record.ExpiresAt) || (got.Record.Refresh == nil) != (first.Record.Refresh == nil) {
				t.Errorf("%s, change %d: %+v after %+v", what, n, got.Record, at.Record)
			}
			if r := got.Record.Refresh; r != nil && r.ExpiresAt.After(at.Record.Refresh.ExpiresAt) {
				t.Errorf("%s, change %d: the refresh token ends at %s, and the one before at %s", what, n, r.ExpiresAt, at.Record.Refresh.ExpiresAt)
			}
			at = got
		}
		if at.Record.Refresh == nil {
			w.clock.advance(last.Record.ExpiresAt.Sub(w.clock.now()))
			_, err := s.Masquerade(t.Context(), at.Token.Digest(), 1002)
			wantDenied(t, what+", at the end of the first", err)
			continue
		}
		for n := range 400 { // a refresh does not extend it either
			w.clock.advance(day)
			next, err := s.refresh(at)
			if err != nil {
				wantDenied(t, what, err)
				break
			}
			if lastExpiry(next.Record).After(lastExpiry(first.Record)) {
				t.Fatalf("%s, refresh %d: it ends at %s, and what there was before at %s", what, n, lastExpiry(next.Record), lastExpiry(first.Record))
			}
			at = next
		}
		if w.clock.now().Before(lastExpiry(first.Record)) {
			t.Errorf("%s: it was over at %s", what, w.clock.now())
		}
	}
}

func TestMasquerade_UsedUpRefreshTokenIsNotRevived(t *testing.T) {
	w := newFixture(t)
	w.setPolicy("acme", func(c *login.Client) { c.LoginLifetime, c.RefreshLifetime = 2*time.Hour, time.Hour })
	s := w.newReplica(nil)
	o := s.openRefreshable()
	w.clock.advance(time.Hour) // the refresh token expires
	got, err := s.Masquerade(t.Context(), o.Token.Digest(), 1002)
	if err != nil || got.Refresh.Kind() != 0 || got.Record.Refresh != nil || !got.Record.ExpiresAt.Equal(noon.Add(2*time.Hour)) {
		t.Errorf("%v, %+v", err, got.Record)
	}
}

func TestOpen_SessionEndsAtMaxLifetime(t *testing.T) {
	const most = 10 * day
	end := noon.Add(most)
	for what, x := range map[string]struct {
		terms login.Terms
		want  time.Time
	}{
		"a login that ends before":          {login.Terms{Kind: token.Login}, noon.Add(time.Hour)},
		"one that is for long":              {login.Terms{Kind: token.Login, Remember: true}, end}, // its own lifetime would be 14 days
		"its refresh token":                 {login.Terms{Kind: token.Login, Refreshable: true}, end},
		"a session that ends before":        {login.Terms{Kind: token.Session, Source: clientAddress, Lifetime: time.Hour}, noon.Add(time.Hour)},
		"a session without an end":          {login.Terms{Kind: token.Session, Source: clientAddress}, end},
		"a session of ten years":            {login.Terms{Kind: token.Session, Source: clientAddress, Lifetime: 3650 * day}, end},
		"an open token has its own maximum": {login.Terms{Kind: token.Open, Lifetime: 100 * day}, noon.Add(100 * day)},
	} {
		w := newFixture(t)
		w.setMaxSession(most)
		o := w.newReplica(nil).open("acme", x.terms)
		if got := lastExpiry(o.Record); !got.Equal(x.want) {
			t.Errorf("%s: it ends at %s, want %s", what, got, x.want)
		}
		if !o.Record.AuthenticatedAt.Equal(noon) || x.terms.Kind != token.Open && !o.Record.SessionEndsAt.Equal(end) {
			t.Errorf("%s: %+v", what, o.Record)
		}
	}
}

// A session ends a fixed time after its password was presented: by the policy at that time, or by
// the current one, whichever is less. Refreshing it and changing its account do not move that.
func TestRefresh_KeepsSessionEnd(t *testing.T) {
	const most = 10 * day
	for what, x := range map[string]struct {
		storeChange func(*fixture) // a day after the login
		want        time.Duration
	}{
		"nothing changes":                   {func(*fixture) {}, most},
		"the policy is raised":              {func(w *fixture) { w.setMaxSession(20 * day) }, most},
		"the policy is lowered":             {func(w *fixture) { w.setMaxSession(5 * day) }, 5 * day},
		"the policy is lowered to less":     {func(w *fixture) { w.setMaxSession(time.Hour) }, day},
		"that of the other client is lower": {func(w *fixture) { w.setPolicy("globex", func(c *login.Client) { c.MaxSessionLifetime = 3 * day }) }, 3 * day},
		"lifetimes are raised": {func(w *fixture) {
			w.setPolicy("acme", func(c *login.Client) { c.LoginLifetime, c.RefreshLifetime = 100*day, 100*day })
		}, most},
	} {
		w := newFixture(t)
		w.setMaxSession(most)
		s := w.newReplica(nil)
		o := s.openRefreshable()
		w.clock.advance(day)
		x.storeChange(w)
		end := noon.Add(x.want)
		var err error
		for n := 0; w.clock.now().Before(end); n++ {
			if n == 1 {
				o, err = s.Masquerade(t.Context(), o.Token.Digest(), 1002)
			} else {
				o, err = s.refresh(o)
			}
			if err != nil {
				t.Fatalf("%s, exchange %d at %s: %v", what, n, w.clock.now(), err)
			}
			// The first exchange after the change may not know the policy of another client.
			if lastExpiry(o.Record).After(end) && n > 0 {
				t.Errorf("%s, exchange %d: it ends at %s, want %s", what, n, lastExpiry(o.Record), end)
			}
			if !o.Record.AuthenticatedAt.Equal(noon) {
				t.Errorf("%s, exchange %d: the password was presented at %s", what, n, o.Record.AuthenticatedAt)
			}
			if n > 0 { // the login token lives for an hour
				w.clock.advance(12 * time.Hour)
			}
		}
		_, err = s.refresh(o)
		wantDenied(t, what+", at the end", err)
	}
}

// Records of an earlier release hold neither the instant of the password nor the end of the
// session.
func TestRefresh_OldRecordsCountFromIssue(t *testing.T) {
	w := newFixture(t)
	s := w.newReplica(nil)
	w.setMaxSession(0)
	o := s.openRefreshable()
	if !o.Record.SessionEndsAt.IsZero() {
		t.Errorf("without a policy it ends at %s", o.Record.SessionEndsAt)
	}
	w.rewrite(o.Record.Digest, func(r *record.Record) { r.AuthenticatedAt = time.Time{} })
	w.setMaxSession(10 * day)
	w.clock.advance(4 * day)
	o = s.mustRefresh(o)
	if want := noon.Add(10 * day); !lastExpiry(o.Record).Equal(want) || !o.Record.AuthenticatedAt.Equal(noon) || !o.Record.SessionEndsAt.Equal(want) {
		t.Errorf("%+v, want %s", o.Record, want)
	}
}

func TestOpen_MaxOpenTokenLifetime(t *testing.T) {
	for what, x := range map[string]struct {
		open     login.OpenTokenPolicy
		most     time.Duration
		lifetime time.Duration
		says     string // empty: it is issued
	}{
		"as long as may be":                        {login.OpenExpiring, day, day, ""},
		"a minute more":                            {login.OpenExpiring, day, day + time.Minute, "1440 minutes, by its logins.maxOpenLifetime"},
		"ten years":                                {login.OpenExpiring, day, 3650 * day, "1440 minutes, by its logins.maxOpenLifetime"},
		"without an end":                           {login.OpenExpiring, day, 0, "no open tokens without an end"},
		"less than none":                           {login.OpenExpiring, day, -time.Minute, "no open tokens without an end"},
		"where any are allowed":                    {login.OpenAllowed, 0, 3650 * day, ""},
		"where any are allowed, without an end":    {login.OpenAllowed, 0, 0, ""},
		"where those of a time are allowed":        {login.OpenAllowed, 90 * time.Minute, 91 * time.Minute, "90 minutes"},
		"where those of a time are, and no end is": {login.OpenAllowed, 90 * time.Minute, 0, "90 minutes"},
		"where none are":                           {login.OpenForbidden, day, time.Minute, "gives no open tokens"},
	} {
		w := newFixture(t)
		w.setPolicy("acme", func(c *login.Client) { c.OpenPolicy, c.MaxOpenLifetime = x.open, x.most })
		o, err := w.newReplica(nil).Open(t.Context(), w.alice(), w.client("acme"), login.Terms{Kind: token.Open, Lifetime: x.lifetime})
		f, refused := errors.AsType[*login.Forbidden](err)
		switch {
		case x.says == "" && (err != nil || !w.isValid(o)):
			t.Errorf("%s: %v", what, err)
		case x.says != "" && (!refused || !strings.Contains(f.Message, x.says) || len(w.allRecords()) > 0):
			t.Errorf("%s: %v, want %q", what, err, x.says)
		}
	}
}
