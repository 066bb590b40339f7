package password_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/login/password"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestLimits_KeyWaitsAfterBurst(t *testing.T) {
	for how, c := range map[string]struct {
		failures int
		at       time.Duration // after the failures
		after    time.Duration
	}{
		"no failure":                         {0, 0, 0},
		"one less than the burst":            {2, 0, 0},
		"the burst":                          {3, 0, time.Minute},
		"a second on":                        {3, time.Second, 59 * time.Second},
		"one before an attempt comes back":   {3, time.Minute - 1, 1},
		"the instant that it comes back":     {3, time.Minute, 0},
		"one after":                          {3, time.Minute + 1, 0},
		"one more than the burst":            {4, 0, 2 * time.Minute},
		"paid for, one before":               {4, 2*time.Minute - 1, 1},
		"paid for":                           {4, 2 * time.Minute, 0},
		"a year later":                       {3, 365 * 24 * time.Hour, 0},
		"many failed that began together":    {13, time.Minute, 10 * time.Minute},
		"and all of them have been paid for": {13, 11 * time.Minute, 0},
	} {
		l := password.NewLimits(password.LimitOptions{Burst: 3, Every: time.Minute, Keys: 10})
		for range c.failures {
			l.Spend(noon, "alice")
		}
		for range 2 { // a call of Allowed takes nothing
			if after, ok := l.Allowed(noon.Add(c.at), "alice"); after != c.after || ok != (c.after == 0) {
				t.Errorf("%s: %v, %v, want %v", how, after, ok, c.after)
			}
		}
		if after, ok := l.Allowed(noon.Add(c.at), "bob"); after != 0 || !ok {
			t.Errorf("%s: another key waits %v", how, after)
		}
	}
}

func TestLimits_SavesNoMoreThanBurst(t *testing.T) {
	l := password.NewLimits(password.LimitOptions{Burst: 2, Every: time.Second, Keys: 10})
	l.Spend(noon, "alice")
	later := noon.Add(time.Hour)
	for n := range 2 {
		if _, ok := l.Allowed(later, "alice"); !ok {
			t.Errorf("refused after %d failures", n)
		}
		l.Spend(later, "alice")
	}
	if after, ok := l.Allowed(later, "alice"); ok || after != time.Second {
		t.Errorf("after the burst: %v, %v", after, ok)
	}
}

func TestLimits_AllowedAddsNoKey(t *testing.T) {
	l := password.NewLimits(password.LimitOptions{Burst: 1, Every: time.Hour, Keys: 10})
	for range 10_000 {
		if _, ok := l.Allowed(noon, "probe"); !ok {
			t.Fatal("limited")
		}
	}
	if l.KeyCount() != 0 {
		t.Errorf("%d keys are remembered", l.KeyCount())
	}
}

func TestLimits_RemembersAtMostKeys(t *testing.T) {
	l := password.NewLimits(password.LimitOptions{Burst: 1, Every: time.Hour, Keys: 4})
	allowed := func(key string) bool {
		_, ok := l.Allowed(noon, key)
		return ok
	}
	for _, key := range []string{"a", "b", "c", "d"} {
		l.Spend(noon, key)
	}
	if allowed("a") { // it is then the most recently used key
		t.Error("a key is forgotten though there is room")
	}
	l.Spend(noon, "e")
	if allowed("a") || !allowed("b") || l.KeyCount() != 4 {
		t.Errorf("one too many: a %v, b %v, %d keys; want b to be forgotten alone", allowed("a"), allowed("b"), l.KeyCount())
	}
	for n := range 1000 {
		l.Spend(noon, fmt.Sprint(n))
	}
	if l.KeyCount() != 4 {
		t.Errorf("%d keys are remembered", l.KeyCount())
	}
}

func TestLimits_DistinguishesLongKeys(t *testing.T) {
	l := password.NewLimits(password.LimitOptions{Burst: 1, Every: time.Hour, Keys: 10})
	long := strings.Repeat("x", 1<<20)
	l.Spend(noon, long+"a")
	l.Spend(noon, "")
	for key, want := range map[string]bool{long + "a": false, long + "b": true, long: true, "": false, " ": true} {
		if _, ok := l.Allowed(noon, key); ok != want {
			t.Errorf("a key of %d bytes: %v, want %v", len(key), ok, want)
		}
	}
}

func TestLimits_ZeroOptionsAreStrictest(t *testing.T) {
	l := password.NewLimits(password.LimitOptions{})
	l.Spend(noon, "a")
	if after, ok := l.Allowed(noon, "a"); ok || after != 1 {
		t.Errorf("%v, %v, want one nanosecond", after, ok)
	}
	l.Spend(noon, "b")
	if l.KeyCount() != 1 {
		t.Errorf("%d keys are remembered", l.KeyCount())
	}
}

func TestLimits_CountsConcurrentFailures(t *testing.T) {
	const many = 200
	l := password.NewLimits(password.LimitOptions{Burst: many, Every: time.Hour, Keys: 10})
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			l.Allowed(noon, "alice")
			l.Spend(noon, "alice")
		})
	}
	all.Wait()
	if after, ok := l.Allowed(noon, "alice"); ok || after != time.Hour {
		t.Errorf("%v, %v, want an hour", after, ok)
	}
}

func TestLimits_TakeGivesNoMoreThanAreLeft(t *testing.T) {
	l := password.NewLimits(password.LimitOptions{Burst: 5, Every: time.Second, Keys: 10})
	var taken atomic.Int64
	var together sync.WaitGroup
	for range 50 {
		together.Go(func() {
			if l.Take(noon, "alice") {
				taken.Add(1)
			}
		})
	}
	together.Wait()
	if taken.Load() != 5 {
		t.Errorf("%d attempts were taken, want 5", taken.Load())
	}
	if l.Take(noon.Add(999*time.Millisecond), "alice") || !l.Take(noon.Add(time.Second), "alice") {
		t.Error("an attempt is given back at another instant than after a second")
	}
}
