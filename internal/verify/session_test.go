package verify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/verify"
)

// A session token is valid only with the session ID that it was issued with, which has one
// spelling.
func TestSession_NeedsItsSessionID(t *testing.T) {
	for name, x := range map[string]struct {
		session string
		want    verify.Verdict
	}{
		"its own":                {sessionID, verify.Valid},
		"none":                   {"", verify.SessionRefused},
		"another":                {sessionID[:35] + "1", verify.SessionRefused},
		"its own in capitals":    {strings.ToUpper(sessionID), verify.SessionRefused},
		"one too short":          {sessionID[:35], verify.SessionRefused},
		"one too long":           {sessionID + "0", verify.SessionRefused},
		"one with a space":       {sessionID + " ", verify.SessionRefused},
		"one in braces":          {"{" + sessionID + "}", verify.SessionRefused},
		"one of 100,000 bytes":   {sessionID + strings.Repeat("0", 100_000), verify.SessionRefused},
		"36 bytes of nothing":    {strings.Repeat("\x00", verify.SessionLength), verify.SessionRefused},
		"18 letters of 36 bytes": {strings.Repeat("é", 18), verify.SessionRefused},
	} {
		w := newUserFixture(t, token.Session)
		// An earlier success must not help another session ID.
		for i, ask := range []string{x.session, x.session, sessionID, sessionID, x.session} {
			if _, verdict := w.verifyNow(verify.Facts{Session: ask}); verdict != x.want && ask == x.session || verdict != verify.Valid && ask == sessionID {
				t.Errorf("%s, question %d: %s", name, i, verdict)
			}
		}
	}
}

// When in doubt, deny [3.8]: it is not known what the session token must be presented with.
func TestSession_RecordWithoutSessionIsRejected(t *testing.T) {
	w := newUserFixture(t, token.Session)
	r := w.rec
	r.Session = token.Digest{}
	w.Set(r)
	for _, session := range []string{"", "x", sessionID} {
		if _, verdict := w.verifyNow(verify.Facts{Session: session}); verdict != verify.SessionRefused {
			t.Errorf("%q: %s", session, verdict)
		}
	}
}

func TestSessionDigest_OtherLengthsHaveNone(t *testing.T) {
	for _, id := range []string{"", "x", sessionID[:35], sessionID + "0"} {
		if verify.SessionDigest(id) != (token.Digest{}) {
			t.Errorf("%q has one", id)
		}
	}
	if d := verify.SessionDigest(sessionID); d == (token.Digest{}) || d == verify.SessionDigest(strings.ToUpper(sessionID)) {
		t.Error("a session id has none, or that of another")
	}
}

// Other logins need no session ID and ignore one. But if a record asks for one, it is required.
func TestSession_RecordCanBindOtherLogins(t *testing.T) {
	for _, kind := range []token.Kind{token.Login, token.Open} {
		w := newUserFixture(t, kind)
		for _, session := range []string{"", sessionID, "x"} {
			if _, verdict := w.verifyNow(verify.Facts{Session: session}); verdict != verify.Valid {
				t.Errorf("%s with %q: %s", kind, session, verdict)
			}
		}
		r := w.rec
		r.Session = verify.SessionDigest(sessionID)
		w.Set(r)
		if _, verdict := w.verifyNow(verify.Facts{}); verdict != verify.SessionRefused {
			t.Errorf("%s of a session, without it: %s", kind, verdict)
		}
		if _, verdict := w.verifyNow(verify.Facts{Session: sessionID}); verdict != verify.Valid {
			t.Errorf("%s of a session, with it: %s", kind, verdict)
		}
	}
}

// testIdleTimeout is the idle timeout of the sessions in the tests.
const testIdleTimeout = 30 * time.Minute

// newIdleFixture returns a fixture with one session that has an idle timeout and was issued at
// noon, and a verifier.
func newIdleFixture(t *testing.T) (*fixture, *fakeClock, *verify.Verifier) {
	w, c := newUserFixture(t, token.Session), newClock(noon)
	w.rec.IdleTimeout = testIdleTimeout
	w.Set(w.rec)
	return w, c, w.newVerifier(c, &fakeStore{find: func(token.Digest) (record.Record, error) { return w.rec, nil }})
}

func useAt(c *fakeClock, v *verify.Verifier, t *testing.T, w *fixture, at time.Time) verify.Verdict {
	t.Helper()
	c.at.Store(at.UnixNano())
	_, verdict := v.Verify(t.Context(), w.tok.Reveal(), verify.Facts{Session: sessionID})
	return verdict
}

// The idle timeout counts from the last sign of life, whichever source knows it: this replica, the
// API server, or the issue itself.
func TestSession_IdleTimeoutCountsFromLastUse(t *testing.T) {
	in20 := noon.Add(20 * time.Minute)
	stored := func(at time.Time) func(*testing.T, *fixture, *fakeClock, *verify.Verifier) {
		return func(_ *testing.T, w *fixture, _ *fakeClock, _ *verify.Verifier) { w.rec.LastUsedAt = at; w.Set(w.rec) }
	}
	for name, x := range map[string]struct {
		last time.Time
		live func(*testing.T, *fixture, *fakeClock, *verify.Verifier)
	}{
		"never used": {noon, nil},
		"used here":  {in20, func(t *testing.T, w *fixture, c *fakeClock, v *verify.Verifier) { useAt(c, v, t, w, in20) }},
		"used here within the second": {in20, func(t *testing.T, w *fixture, c *fakeClock, v *verify.Verifier) {
			useAt(c, v, t, w, in20.Add(time.Second-time.Nanosecond))
		}},
		"used elsewhere, says the store":        {in20, stored(in20)},
		"used before its issue, says the store": {noon, stored(noon.Add(-time.Hour))},
		"used here, and earlier elsewhere": {in20, func(t *testing.T, w *fixture, c *fakeClock, v *verify.Verifier) {
			useAt(c, v, t, w, in20)
			stored(noon.Add(time.Minute))(t, w, c, v)
		}},
		"used here, and later elsewhere": {in20, func(t *testing.T, w *fixture, c *fakeClock, v *verify.Verifier) {
			useAt(c, v, t, w, noon.Add(time.Minute))
			stored(in20)(t, w, c, v)
		}},
		"used here, and its record has changed": {in20, func(t *testing.T, w *fixture, c *fakeClock, v *verify.Verifier) {
			useAt(c, v, t, w, in20)
			w.rec.Suspended = true
			w.Set(w.rec)
			w.rec.Suspended = false
			w.Set(w.rec)
		}},
		"not known here, says the store": {in20, func(_ *testing.T, w *fixture, _ *fakeClock, _ *verify.Verifier) {
			w.rec.LastUsedAt = in20
			w.Remove(w.rec.Digest)
		}},
		"not known here, and never used": {noon, func(_ *testing.T, w *fixture, _ *fakeClock, _ *verify.Verifier) { w.Remove(w.rec.Digest) }},
	} {
		for _, at := range []struct {
			after time.Duration
			want  verify.Verdict
		}{
			{testIdleTimeout - time.Second, verify.Valid}, {testIdleTimeout - time.Nanosecond, verify.Valid}, {testIdleTimeout, verify.Idle},
			{testIdleTimeout + time.Second, verify.Idle}, {1000 * time.Hour, verify.Idle},
		} {
			w, c, v := newIdleFixture(t)
			if x.live != nil {
				x.live(t, w, c, v)
			}
			if verdict := useAt(c, v, t, w, x.last.Add(at.after)); verdict != at.want {
				t.Errorf("%s: %s after %s, want %s", name, verdict, at.after, at.want)
			}
		}
	}
}

// If another replica saw the session in use, it is valid here as soon as the watch reports that,
// and not before.
func TestSession_UseOnOtherReplicaKeepsItAlive(t *testing.T) {
	w, c, v := newIdleFixture(t)
	if verdict := useAt(c, v, t, w, noon.Add(testIdleTimeout)); verdict != verify.Idle {
		t.Fatalf("%s before", verdict)
	}
	w.rec.LastUsedAt = noon.Add(testIdleTimeout - time.Second)
	w.Set(w.rec)
	if verdict := useAt(c, v, t, w, noon.Add(testIdleTimeout)); verdict != verify.Valid {
		t.Errorf("%s after", verdict)
	}
}

// A client that has the token alone cannot keep the session alive, and neither can one that is
// denied.
func TestSession_RejectedRequestDoesNotKeepItAlive(t *testing.T) {
	for name, f := range map[string]verify.Facts{
		"no session":              {},
		"another session":         {Session: strings.ToUpper(sessionID)},
		"a permission it has not": {Session: sessionID, Permissions: []string{"x"}},
		"a role it has not":       {Session: sessionID, Roles: []string{"x"}},
		"another client":          {Session: sessionID, Clients: []string{"beta"}},
	} {
		w, c, v := newIdleFixture(t)
		for at := time.Minute; at < testIdleTimeout; at += time.Minute {
			c.at.Store(noon.Add(at).UnixNano())
			if _, verdict := v.Verify(t.Context(), w.tok.Reveal(), f); verdict == verify.Valid {
				t.Fatalf("%s: Good", name)
			}
		}
		if uses := w.takeUses(); len(uses) > 0 {
			t.Errorf("%s: it was used: %v", name, uses)
		}
		if verdict := useAt(c, v, t, w, noon.Add(testIdleTimeout)); verdict != verify.Idle {
			t.Errorf("%s: %s", name, verdict)
		}
		if verdict := useAt(c, v, t, w, noon.Add(testIdleTimeout-time.Second)); verdict != verify.Valid {
			t.Errorf("%s: %s before its end", name, verdict)
		}
	}
}

// Every duration that can be written means a timeout; only an absent one means never.
func TestSession_AnyIdleTimeoutCounts(t *testing.T) {
	for idle, want := range map[time.Duration]verify.Verdict{
		0: verify.Valid, -time.Hour: verify.Idle, time.Nanosecond: verify.Idle, 500 * time.Millisecond: verify.Idle,
		time.Second: verify.Idle, 24 * time.Hour: verify.Idle, 24*time.Hour + time.Second: verify.Valid,
		999_999 * time.Hour: verify.Valid,
	} {
		w := newUserFixture(t, token.Login)
		r := w.rec
		r.IdleTimeout = idle
		w.Set(r)
		if _, verdict := w.Verify(noon.Add(24*time.Hour), w.tok.Reveal(), verify.Facts{}); verdict != want {
			t.Errorf("%s: %s, want %s", idle, verdict, want)
		}
	}
}

// A client's policy ends its logins a fixed time after their password was presented, whatever their
// records hold. Those may be from another policy, or from a release that knew none.
func TestSession_LoweredPolicyEndsItAtOnce(t *testing.T) {
	policy := func(most time.Duration) func(*verify.Client) {
		return func(c *verify.Client) { c.MaxSessionLifetime = most }
	}
	for name, x := range map[string]struct {
		kind          token.Kind
		authenticated time.Duration // before noon; 0: not set in the record
		most          time.Duration
		after         time.Duration
		want          verify.Verdict
	}{
		"no policy":                        {token.Session, 0, 0, 1000 * time.Hour, verify.Valid},
		"a login, a second before":         {token.Login, 0, time.Hour, time.Hour - time.Second, verify.Valid},
		"a login, an instant before":       {token.Login, 0, time.Hour, time.Hour - 1, verify.Valid},
		"a login, at its end":              {token.Login, 0, time.Hour, time.Hour, verify.Expired},
		"a session, at its end":            {token.Session, 0, time.Hour, time.Hour, verify.Expired},
		"a login that was refreshed":       {token.Login, 30 * time.Minute, time.Hour, 30 * time.Minute, verify.Expired},
		"a login that was, before its end": {token.Login, 30 * time.Minute, time.Hour, 29 * time.Minute, verify.Valid},
		"an open token":                    {token.Open, 30 * time.Minute, time.Hour, 1000 * time.Hour, verify.Valid},
		"a token of a program":             {token.UserApplication, 0, time.Hour, 1000 * time.Hour, verify.Valid},
	} {
		w := newUserFixture(t, x.kind)
		if x.authenticated > 0 {
			w.rec.AuthenticatedAt = noon.Add(-x.authenticated)
			w.Set(w.rec)
		}
		w.SetClient(acmeClient(policy(x.most)))
		facts := verify.Facts{Session: sessionID}
		who, verdict := w.Verify(noon.Add(x.after), w.tok.Reveal(), facts)
		if verdict != x.want {
			t.Errorf("%s: %s, want %s", name, verdict, x.want)
		}
		if verdict == verify.Valid && x.kind == token.Login && x.most > 0 && !who.ExpiresAt.Equal(noon.Add(x.most-x.authenticated)) {
			t.Errorf("%s: it is said to end at %s", name, who.ExpiresAt)
		}
		w.SetClient(acmeClient(nil))
		if _, verdict := w.Verify(noon.Add(x.after), w.tok.Reveal(), facts); verdict != verify.Valid {
			t.Errorf("%s, without a policy: %s", name, verdict)
		}
	}
}
