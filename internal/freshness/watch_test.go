package freshness_test

import (
	"testing"
	"time"

	"github.com/apptoken/operator/internal/freshness"
)

func TestWatch_Signs(t *testing.T) {
	for name, x := range map[string]struct {
		happens func(w *freshness.Watch, now time.Time)
		sign    bool
	}{
		"a list":                            {func(w *freshness.Watch, now time.Time) { w.Listed(now) }, true},
		"an event":                          {func(w *freshness.Watch, now time.Time) { w.Delivered(now, false) }, true},
		"a bookmark":                        {func(w *freshness.Watch, now time.Time) { w.Delivered(now, true) }, true},
		"a connection":                      {func(w *freshness.Watch, _ time.Time) { w.Connected() }, false},
		"a failure":                         {func(w *freshness.Watch, _ time.Time) { w.Failed() }, false},
		"a list after a failure":            {func(w *freshness.Watch, now time.Time) { w.Failed(); w.Listed(now) }, false},
		"a bookmark after a failure":        {func(w *freshness.Watch, now time.Time) { w.Failed(); w.Delivered(now, true) }, true},
		"an end in time, without bookmarks": {func(w *freshness.Watch, now time.Time) { w.Ended(now) }, true},
		"an end in time, where bookmarks always come": {
			func(w *freshness.Watch, now time.Time) { w.Delivered(noon, true); w.Ended(now) }, false,
		},
		"an end in time, where no bookmark has been prompted": {
			func(w *freshness.Watch, now time.Time) { w.Delivered(noon, false); w.Ended(now) }, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var all freshness.Watches
			w := all.Add("Client", "own")
			w.Listed(noon)
			now := noon.Add(time.Second)
			x.happens(w, now)
			if got := all.Signs()[0].At.Equal(now); got != x.sign {
				t.Errorf("a sign: %t, want %t", got, x.sign)
			}
		})
	}
}

func TestWatches_KindIsAsFarAsItsLastWatch(t *testing.T) {
	var all freshness.Watches
	all.Add("ApplicationToken", "own").Listed(noon.Add(time.Minute))
	all.Add("ApplicationToken", "own").Listed(noon)
	all.Add("ApplicationToken", "own").Listed(noon.Add(time.Hour))
	all.Add("Client", "own").Listed(noon)
	if signs := all.Signs(); len(signs) != 2 || signs[0] != (freshness.Sign{Kind: "ApplicationToken", At: noon}) {
		t.Errorf("%v", signs)
	}
}

func TestWatch_BrokenUntilConnected(t *testing.T) {
	var all freshness.Watches
	w := all.Add("Client", "own")
	for _, step := range []struct {
		name   string
		do     func()
		broken bool
	}{
		{"listed", func() { w.Listed(noon) }, false}, {"failed", w.Failed, true}, {"listed again", func() { w.Listed(noon) }, true},
		{"connected", w.Connected, false}, {"ended", func() { w.Ended(noon) }, false},
	} {
		step.do()
		if got := all.Signs()[0].Broken; got != step.broken {
			t.Errorf("%s: broken %t", step.name, got)
		}
	}
}

// TestWatch_EndsAreSignsWhereNoBookmarksCome checks that missing bookmarks do not close a replica,
// where the API server sends none for a kind or stops sending them.
func TestWatch_EndsAreSignsWhereNoBookmarksCome(t *testing.T) {
	for name, x := range map[string]struct {
		family    string
		bookmarks time.Duration // on another watch, until then
		sign      bool
	}{
		"others of the family have them":     {"own", 40 * time.Second, false},
		"none comes any more":                {"own", 0, true},
		"others of another family have them": {"foreign", 40 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			var all freshness.Watches
			w, other := all.Add("Client", "own"), all.Add("User", x.family)
			w.Listed(noon)
			other.Delivered(noon.Add(x.bookmarks), true)
			now := noon.Add(time.Minute)
			w.Ended(now)
			if got := all.Signs()[0].At.Equal(now); got != x.sign {
				t.Errorf("a sign: %t, want %t", got, x.sign)
			}
		})
	}
}
