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
		"each kind of login counts":                   {[]record.Record{opened(1, 0), but(opened(2, 1), func(r *record.Record) { r.Kind = token.Session }), but(opened(3, 2), func(r *record.Record) { r.Kind = token.Open })}, now, 1, []byte{1, 2}},
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
		for _, r := range login.ExcessLogins(x.now, rs, "acme", x.most) {
			got = append(got, r.Digest[0])
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", what, got, x.want)
		}
	}
}
