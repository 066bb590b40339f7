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

func TestEvaluateRefresh_States(t *testing.T) {
	const window, life = login.RetryWindow, time.Hour
	// link returns a record of a session, with its refresh token and the previous one.
	link := func(name, is, was byte) record.Record {
		return record.Record{Digest: token.Digest{name}, IssuedAt: noon, Refresh: &record.Refresh{
			Digest: token.Digest{is}, Previous: token.Digest{was}, PreviousUntil: noon.Add(window), ExpiresAt: noon.Add(life),
		}}
	}
	first := link(1, 1, 0)
	first.Refresh.PreviousUntil = time.Time{}
	sooner := link(3, 3, 1)
	sooner.Refresh.PreviousUntil = noon.Add(window - time.Second)
	over := link(9, 9, 8)
	over.Refresh.ExpiresAt = noon
	brief := link(2, 2, 1) // ends before the window does
	brief.Refresh.ExpiresAt = noon.Add(window / 2)
	excusing := link(4, 4, 3)
	excusing.Refresh.Recent = []record.Recent{{Digest: token.Digest{1}, Until: noon.Add(window / 3)}, {Digest: token.Digest{2}, Until: noon.Add(window / 2)}}
	for what, x := range map[string]struct {
		family    []record.Record
		presented byte
		after     time.Duration
		want      login.RefreshState
		about     byte
	}{
		"of no session":             {nil, 1, 0, login.RefreshUnknown, 0},
		"the first":                 {[]record.Record{first}, 1, 0, login.RefreshCurrent, 1},
		"the next":                  {[]record.Record{link(2, 2, 1)}, 2, 0, login.RefreshCurrent, 2},
		"good for long":             {[]record.Record{link(2, 2, 1)}, 2, life - 1, login.RefreshCurrent, 2},
		"at its end":                {[]record.Record{link(2, 2, 1)}, 2, life, login.RefreshUnknown, 0},
		"after its end":             {[]record.Record{link(2, 2, 1)}, 2, life + 1, login.RefreshUnknown, 0},
		"the one before":            {[]record.Record{link(2, 2, 1)}, 1, 0, login.RefreshRetried, 2},
		"the one before, just":      {[]record.Record{link(2, 2, 1)}, 1, window - 1, login.RefreshRetried, 2},
		"the one before, too late":  {[]record.Record{link(2, 2, 1)}, 1, window, login.RefreshReplayed, 0},
		"the one before, later":     {[]record.Record{link(2, 2, 1)}, 1, window + 1, login.RefreshReplayed, 0},
		"an ancestor":               {[]record.Record{link(3, 3, 2)}, 1, 0, login.RefreshReplayed, 0},
		"one used up just now":      {[]record.Record{excusing}, 2, window/2 - 1, login.RefreshEarly, 0},
		"one used up some time ago": {[]record.Record{excusing}, 2, window / 2, login.RefreshReplayed, 0},
		"one used up before that":   {[]record.Record{excusing}, 1, window / 3, login.RefreshReplayed, 0},
		"the one before, of these":  {[]record.Record{excusing}, 3, window / 2, login.RefreshRetried, 4},
		"one that never was":        {[]record.Record{first}, 7, 0, login.RefreshReplayed, 0},
		"none, of the first":        {[]record.Record{first}, 0, 0, login.RefreshReplayed, 0},

		"a session at its end is none":                            {[]record.Record{over}, 9, 0, login.RefreshUnknown, 0},
		"nor is anything replayed of it":                          {[]record.Record{over}, 5, 0, login.RefreshUnknown, 0},
		"nor retried":                                             {[]record.Record{over}, 8, 0, login.RefreshUnknown, 0},
		"a retry ends with the session":                           {[]record.Record{brief}, 1, window/2 - 1, login.RefreshRetried, 2},
		"at that instant":                                         {[]record.Record{brief}, 1, window / 2, login.RefreshUnknown, 0},
		"what is over beside what is not does not count":          {[]record.Record{first, over}, 8, 0, login.RefreshReplayed, 0},
		"while one takes the place of another, that is good":      {[]record.Record{first, link(2, 2, 1)}, 1, 0, login.RefreshCurrent, 1},
		"and it is when the window of the new one is over":        {[]record.Record{first, link(2, 2, 1)}, 1, window, login.RefreshCurrent, 1},
		"of two that took its place, the window that ends sooner": {[]record.Record{link(2, 2, 1), sooner}, 1, 0, login.RefreshRetried, 3},
		"and then the other":                                      {[]record.Record{link(2, 2, 1), sooner}, 1, window - time.Second, login.RefreshRetried, 2},
		"one window is open, and it is of neither":                {[]record.Record{first, link(2, 2, 1)}, 7, 0, login.RefreshReplayed, 0},
		"one of two excuses it":                                   {[]record.Record{first, excusing}, 2, 0, login.RefreshEarly, 0},
	} {
		family := slices.Clone(x.family)
		rand.Shuffle(len(family), func(i, j int) { family[i], family[j] = family[j], family[i] })
		found, about := login.EvaluateRefresh(noon.Add(x.after), token.Digest{x.presented}, family)
		if found != x.want || about.Digest != (token.Digest{x.about}) {
			t.Errorf("%s: %d of %d, want %d of %d", what, found, about.Digest[0], x.want, x.about)
		}
	}
}
