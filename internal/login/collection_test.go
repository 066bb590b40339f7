package login_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// collectableLogin returns a login of an hour that was opened at noon, and its observed state.
func collectableLogin() (record.Record, login.CollectState) {
	r := record.Record{
		Kind: token.Login, Digest: token.Digest{1}, Owner: record.Owner{Kind: login.OwnerKindUser, Name: "alice", UID: "u1"},
		Client: "acme", User: "alice", Credential: "f1", IssuedAt: noon, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour),
	}
	u := &login.User{Name: "alice", UID: "u1", Credential: "f1", Accounts: []login.Account{{Client: "acme"}}}
	return r, login.CollectState{User: u}
}

func TestEvaluateCollection_Reasons(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	none := time.Duration(-1)
	for name, c := range map[string]struct {
		accountResult time.Duration // after noon
		but           func(*record.Record, *login.CollectState)
		why           login.CollectReason
		wake          time.Duration // after noon
	}{
		"one that was just stored is looked at again once it is in place": {0, nil, login.NotCollected, m},
		"one in place is looked at again a minute after its end":          {m, nil, login.NotCollected, h + m},
		"one that is over may be used elsewhere for a minute":             {h + m - s, nil, login.NotCollected, h + m},
		"at that instant it goes":                                         {h + m, nil, login.Expired, none},
		"and later too":                                                   {h + m + s, nil, login.Expired, none},

		"a refresh token outlives the login":        {h + m, func(r *record.Record, _ *login.CollectState) { r.Refresh = &record.Refresh{ExpiresAt: noon.Add(2 * h)} }, login.NotCollected, 2*h + m},
		"until it is over too, and a minute more":   {2*h + m - s, func(r *record.Record, _ *login.CollectState) { r.Refresh = &record.Refresh{ExpiresAt: noon.Add(2 * h)} }, login.NotCollected, 2*h + m},
		"and not longer":                            {2*h + m, func(r *record.Record, _ *login.CollectState) { r.Refresh = &record.Refresh{ExpiresAt: noon.Add(2 * h)} }, login.Expired, none},
		"one without an end stays":                  {999 * h, func(r *record.Record, _ *login.CollectState) { r.ExpiresAt = time.Time{} }, login.NotCollected, none},
		"one that lies idle goes a minute after":    {31 * m, func(r *record.Record, _ *login.CollectState) { r.ExpiresAt, r.IdleTimeout = time.Time{}, 30*m }, login.Expired, none},
		"and not a second before":                   {31*m - s, func(r *record.Record, _ *login.CollectState) { r.ExpiresAt, r.IdleTimeout = time.Time{}, 30*m }, login.NotCollected, 31 * m},
		"one in use is counted from its last use":   {31 * m, func(r *record.Record, _ *login.CollectState) { r.IdleTimeout, r.LastUsedAt = 30*m, noon.Add(20*m) }, login.NotCollected, 51 * m},
		"one without a user is deleted at once":     {0, func(_ *record.Record, a *login.CollectState) { a.User = nil }, login.UserMissing, none},
		"one of a namesake before goes at once":     {0, func(_ *record.Record, a *login.CollectState) { a.User.UID = "u2" }, login.UserMissing, none},
		"one of a suspended user stays":             {m, func(_ *record.Record, a *login.CollectState) { a.User.Suspended = true }, login.NotCollected, h + m},
		"one of another password goes at once":      {0, func(_ *record.Record, a *login.CollectState) { a.User.Credential = "f2" }, login.PasswordChanged, none},
		"one of a password that is gone goes":       {0, func(_ *record.Record, a *login.CollectState) { a.User.Credential = "" }, login.PasswordChanged, none},
		"no password is no fingerprint of any":      {0, func(r *record.Record, a *login.CollectState) { a.User.Credential, r.Credential = "", "" }, login.PasswordChanged, none},
		"one at a client without an account goes":   {0, func(_ *record.Record, a *login.CollectState) { a.User.Accounts = nil }, login.AccountMissing, none},
		"a refresh that is under way is left alone": {m - s, func(_ *record.Record, a *login.CollectState) { a.HasPredecessor = true }, login.NotCollected, m},
		"one that was left in the middle goes":      {m, func(_ *record.Record, a *login.CollectState) { a.HasPredecessor = true }, login.Orphan, none},
		"and a second later it goes too":            {m + s, func(_ *record.Record, a *login.CollectState) { a.HasPredecessor = true }, login.Orphan, none},
		"an end before it is in place comes first":  {0, func(r *record.Record, _ *login.CollectState) { r.ExpiresAt = noon.Add(-30 * s) }, login.NotCollected, 30 * s},
		"a restored one counts from its coming":     {h / 2, func(r *record.Record, a *login.CollectState) { r.CreatedAt, a.HasPredecessor = noon.Add(h/2), true }, login.NotCollected, h/2 + m},
	} {
		t.Run(name, func(t *testing.T) {
			r, a := collectableLogin()
			if c.but != nil {
				c.but(&r, &a)
			}
			var want time.Time
			if c.wake != none {
				want = noon.Add(c.wake)
			}
			if why, wake := login.EvaluateCollection(noon.Add(c.accountResult), r, a); why != c.why || !wake.Equal(want) {
				t.Errorf("%q, to be looked at again at %s; want %q at %s", why, wake, c.why, want)
			}
		})
	}
}

func TestEndOfRecord_MatchesIsOver(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func(most int) time.Time {
		if n := random.IntN(most); n > 0 {
			return noon.Add(time.Duration(n) * time.Second)
		}
		return time.Time{}
	}
	for range 10_000 {
		r := record.Record{IssuedAt: noon, ExpiresAt: some(5), LastUsedAt: some(5), IdleTimeout: time.Duration(random.IntN(3)) * time.Second}
		if random.IntN(2) == 0 {
			r.Refresh = &record.Refresh{ExpiresAt: some(8)}
		}
		end := login.EndOfRecord(r)
		switch {
		case end.IsZero():
			if r.IsOver(noon.Add(time.Hour)) {
				t.Fatalf("%+v has no end, and is over", r)
			}
		case r.IsOver(end.Add(-time.Second)) || !r.IsOver(end) || !r.IsOver(end.Add(time.Second)):
			t.Fatalf("%+v ends at %s: over a second before is %t, then %t", r, end, r.IsOver(end.Add(-time.Second)), r.IsOver(end))
		}
	}
}

func TestWithoutPendingSuccessors_CountsReplacementOnce(t *testing.T) {
	first, _ := collectableLogin()
	next, other := first, first
	next.Digest, next.Predecessor = token.Digest{2}, first.Name()
	other.Digest, other.Predecessor = token.Digest{3}, token.Digest{9}.RecordName() // which is gone
	same := func(a, b record.Record) bool { return a.Digest == b.Digest }
	if got, want := login.WithoutPendingSuccessors([]record.Record{first, next, other}), []record.Record{first, other}; !slices.EqualFunc(got, want, same) {
		t.Errorf("%d are counted while one takes the place of another, want the one before and one more", len(got))
	}
	if got, want := login.WithoutPendingSuccessors([]record.Record{next, other}), []record.Record{next, other}; !slices.EqualFunc(got, want, same) {
		t.Errorf("%d are counted afterwards, want 2", len(got))
	}
}
