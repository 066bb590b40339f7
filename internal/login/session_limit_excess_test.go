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

func TestExcessLogins_OldestFirst(t *testing.T) {
	atAcme := login.Group{Client: "acme", Kind: token.Login}
	// opened returns a login at acme, named by a number, a number of seconds after noon.
	opened := func(n byte, after time.Duration) record.Record {
		at := noon.Add(after * time.Second)
		return record.Record{
			Kind: token.Login, Digest: token.Digest{n}, Client: "acme", IssuedAt: at, CreatedAt: at, ExpiresAt: at.Add(time.Hour),
		}
	}
	but := func(r record.Record, f func(*record.Record)) record.Record {
		f(&r)
		return r
	}
	three := []record.Record{opened(1, 0), opened(2, 1), opened(3, 2)}
	now := noon.Add(time.Minute)
	for what, x := range map[string]struct {
		rs   []record.Record
		now  time.Time
		most int
		want []byte
	}{
		"none of none":             {nil, now, 0, nil},
		"one more is allowed":      {three, now, 4, nil},
		"just as many":             {three, now, 3, nil},
		"one too many: the oldest": {three, now, 2, []byte{1}},
		"two: the oldest first":    {three, now, 1, []byte{1, 2}},
		"all":                      {three, now, 0, []byte{1, 2, 3}},
		"of one second, the one that the store had first": {[]record.Record{
			but(opened(1, 0), func(r *record.Record) { r.CreatedAt = noon.Add(2 * time.Second) }), opened(2, 0), opened(3, 1),
		}, now, 2, []byte{2}},
		"and of those, by name, so that all agree":    {[]record.Record{opened(1, 0), opened(2, 0), opened(3, 0)}, now, 1, []byte{1, 2}},
		"other kinds of login do not count":           {[]record.Record{opened(1, 0), but(opened(2, 1), func(r *record.Record) { r.Kind = token.Session }), but(opened(3, 2), func(r *record.Record) { r.Kind = token.Open }), opened(4, 3)}, now, 1, []byte{1}},
		"one that was used is as old as before":       {[]record.Record{opened(1, 0), opened(2, 1), but(opened(3, -1), func(r *record.Record) { r.LastUsedAt = noon.Add(30 * time.Second) })}, now, 2, []byte{3}},
		"logins of another user do not count":         {append([]record.Record{but(opened(4, -9), func(r *record.Record) { r.Owner.Name = "bob" })}, three...), now, 3, nil},
		"other credentials do not":                    {append([]record.Record{but(opened(4, -9), func(r *record.Record) { r.Kind = token.Application }), but(opened(5, -9), func(r *record.Record) { r.Kind = token.UserApplication })}, three...), now, 3, nil},
		"those at another client do not":              {append([]record.Record{but(opened(4, -9), func(r *record.Record) { r.Client = "globex" })}, three...), now, 3, nil},
		"an instant before its end it does":           {three, noon.Add(time.Hour - 1), 2, []byte{1}},
		"at its end it does not":                      {three, noon.Add(time.Hour), 2, nil},
		"and after it":                                {three, noon.Add(time.Hour + 1), 1, []byte{2}},
		"one that can be refreshed is not at its end": {append([]record.Record{but(opened(4, -9), func(r *record.Record) { r.Refresh = &record.Refresh{ExpiresAt: noon.Add(2 * time.Hour)} })}, three...), noon.Add(time.Hour + 9*time.Second), 0, []byte{4}},
		"one that lies idle does not":                 {append([]record.Record{but(opened(4, -9), func(r *record.Record) { r.IdleTimeout = time.Minute })}, three...), now, 3, nil},
		"one without an end does":                     {append([]record.Record{but(opened(4, -9), func(r *record.Record) { r.ExpiresAt = time.Time{} })}, three...), now.Add(9 * time.Hour), 0, []byte{4}},
	} {
		rs := slices.Clone(x.rs)
		rand.Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
		var got []byte
		for _, r := range login.ExcessLogins(x.now, rs, atAcme, x.most) {
			got = append(got, r.Digest[0])
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", what, got, x.want)
		}
	}
}

// A program holds one session token for each of its web sessions and never renews it, so the oldest
// may be the one in use.
func TestExcessLogins_SessionTokensUnusedForLongestFirst(t *testing.T) {
	opened := func(n byte, issued, used time.Duration) record.Record {
		r := record.Record{Kind: token.Session, Digest: token.Digest{n}, Client: "acme", IssuedAt: noon.Add(issued), IdleTimeout: 30 * time.Minute}
		if used != 0 {
			r.LastUsedAt = noon.Add(used)
		}
		return r
	}
	const m = time.Minute
	for what, x := range map[string]struct {
		rs   []record.Record
		most int
		want []byte
	}{
		"the oldest is in use":                  {[]record.Record{opened(1, 0, 9*m), opened(2, m, 0), opened(3, 2*m, 0)}, 2, []byte{2}},
		"no one was used: the oldest":           {[]record.Record{opened(1, 0, 0), opened(2, m, 0), opened(3, 2*m, 0)}, 2, []byte{1}},
		"all were used: by the use":             {[]record.Record{opened(1, 0, 9*m), opened(2, m, 8*m), opened(3, 2*m, 7*m)}, 1, []byte{3, 2}},
		"an issue counts as a use":              {[]record.Record{opened(1, 0, 3*m), opened(2, 4*m, 0)}, 1, []byte{1}},
		"a use before the issue counts as none": {[]record.Record{opened(1, 4*m, m), opened(2, 3*m, 0)}, 1, []byte{2}},
		"used in the same second: the older":    {[]record.Record{opened(1, m, 9*m), opened(2, 0, 9*m)}, 1, []byte{2}},
		"one that lies idle does not count":     {[]record.Record{opened(1, -40*m, 0), opened(2, 0, 0), opened(3, m, 0)}, 2, nil},
	} {
		rs := slices.Clone(x.rs)
		rand.Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
		var got []byte
		for _, r := range login.ExcessLogins(noon.Add(10*m), rs, login.Group{Client: "acme", Kind: token.Session}, x.most) {
			got = append(got, r.Digest[0])
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", what, got, x.want)
		}
	}
}

func TestLimitOf_UserBeforeClient(t *testing.T) {
	c := login.Client{Limits: login.Limits{MaxSessions: 20, MaxSessionTokens: 1000, MaxOpenTokens: 30}}
	for what, x := range map[string]struct {
		user login.Limits
		want [3]int // of login, session and open tokens
	}{
		"a user without limits has the client's": {login.Limits{}, [3]int{20, 1000, 30}},
		"a user may have fewer":                  {login.Limits{MaxSessions: 1, MaxSessionTokens: 2, MaxOpenTokens: 3}, [3]int{1, 2, 3}},
		"a user may have more":                   {login.Limits{MaxSessions: 1000, MaxSessionTokens: 10_000, MaxOpenTokens: 999}, [3]int{1000, 10_000, 999}},
		"one limit leaves the others":            {login.Limits{MaxSessionTokens: 5}, [3]int{20, 5, 30}},
	} {
		for i, kind := range []token.Kind{token.Login, token.Session, token.Open} {
			if got := login.LimitOf(kind, login.User{Limits: x.user}, c); got != x.want[i] {
				t.Errorf("%s: %d of kind %s, want %d", what, got, kind, x.want[i])
			}
		}
	}
}
