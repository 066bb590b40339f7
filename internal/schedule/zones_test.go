package schedule_test

import (
	"archive/zip"
	"fmt"
	"go/build"
	"io"
	"path/filepath"
	"testing"
	"time"
)

// expression is a cron expression, with an independent statement of what it matches.
type expression struct {
	text     string
	interval bool
	matches  func(wall time.Time) bool
}

func daily(hour, minute int) expression {
	return expression{
		text:    fmt.Sprintf("%d %d * * *", minute, hour),
		matches: func(w time.Time) bool { return w.Hour() == hour && w.Minute() == minute },
	}
}

var expressions = []expression{
	{"*/7 * * * *", true, func(w time.Time) bool { return w.Minute()%7 == 0 }},
	{"15 * * * *", true, func(w time.Time) bool { return w.Minute() == 15 }},
	{"*/20 0-3 * * *", true, func(w time.Time) bool { return w.Minute()%20 == 0 && w.Hour() <= 3 }},
	{"5,45 0-3,23 * * *", false, func(w time.Time) bool {
		return (w.Minute() == 5 || w.Minute() == 45) && (w.Hour() <= 3 || w.Hour() == 23)
	}},
	{"30 2 * * 0", false, func(w time.Time) bool { return w.Weekday() == time.Sunday && w.Hour() == 2 && w.Minute() == 30 }},
	{"0 0 1 * *", false, func(w time.Time) bool { return w.Day() == 1 && w.Hour() == 0 && w.Minute() == 0 }},
}

// margin is the time around a change of the offset in which schedules are compared. The model
// starts this long before the change.
const margin = 26 * time.Hour

// TestNext_AllZonesAgreeWithMinuteByMinuteModel compares Next with a daemon that reads the clock
// each minute. It does so around every kind of offset change in the time zone database.
func TestNext_AllZonesAgreeWithMinuteByMinuteModel(t *testing.T) {
	kinds := map[kind]bool{}
	for name, where := range zones(t) {
		for _, change := range changes(where) {
			k := kindOf(change)
			if kinds[k] {
				continue
			}
			kinds[k] = true
			m := newModel(change)
			list := append([]expression{}, expressions...)
			for _, w := range []time.Time{wall(change.Add(-1)), wall(change), k.middle(change)} {
				list = append(list, daily(w.Hour(), w.Minute()))
			}
			for _, e := range list {
				if err := m.compare(t, e, where); err != nil {
					t.Errorf("%s, %q around %s: %v", name, e.text, change.UTC().Format(time.RFC3339), err)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
	if len(kinds) < 300 {
		t.Errorf("the time zone database has only %d kinds of changes", len(kinds))
	}
}

// zones returns the time zones of the database that time/tzdata embeds, by name.
func zones(t *testing.T) map[string]*time.Location {
	t.Helper()
	archive, err := zip.OpenReader(filepath.Join(build.Default.GOROOT, "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	list := map[string]*time.Location{}
	for _, f := range archive.File {
		if f.FileInfo().IsDir() {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if list[f.Name], err = time.LoadLocationFromTZData(f.Name, data); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
	}
	return list
}

// changes returns the instants at which the offset of a time zone changes.
func changes(where *time.Location) []time.Time {
	var list []time.Time
	last := time.Date(2040, time.January, 1, 0, 0, 0, 0, time.UTC)
	for t := time.Date(1800, time.January, 1, 0, 0, 0, 0, where); ; {
		_, end := t.ZoneBounds()
		if end.IsZero() || end.After(last) {
			return list
		}
		if !end.After(t) { // on 31 December of a leap year
			end = t.Add(24 * time.Hour)
		}
		if offset(end) != offset(end.Add(-1)) {
			list = append(list, end)
		}
		t = end
	}
}

// kind distinguishes changes of the offset: by size, time of day, and other changes nearby.
type kind struct {
	before, after, clock time.Duration
	previous, next       time.Duration
}

func kindOf(change time.Time) kind {
	before := change.Add(-1)
	w := wall(change)
	k := kind{before: offset(before), after: offset(change), clock: w.Sub(w.Truncate(24 * time.Hour))}
	if start, _ := before.ZoneBounds(); !start.IsZero() && change.Sub(start) < 3*margin {
		k.previous = change.Sub(start)
	}
	if _, end := change.ZoneBounds(); !end.IsZero() && end.Sub(change) < 2*margin {
		k.next = end.Sub(change)
	}
	return k
}

// middle returns the wall-clock time in the middle of the missing or repeated time.
func (k kind) middle(change time.Time) time.Time {
	return wall(change).Add((k.before - k.after) / 2)
}

func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// wall returns what the clock shows at t, written as UTC.
func wall(t time.Time) time.Time { return t.UTC().Add(offset(t)) }

// model is a clock around a change of the offset. It holds the instants at which the clock shows a
// whole minute, and the change itself.
type model struct {
	change time.Time
	ticks  []time.Time
	shown  []time.Time
}

func newModel(change time.Time) model {
	m := model{change: change}
	for t := change.Add(-2 * margin); t.Before(change.Add(margin)); {
		m.ticks, m.shown = append(m.ticks, t), append(m.shown, wall(t))
		next := t.Add(time.Minute - time.Duration(wall(t).Second())*time.Second)
		if _, end := t.ZoneBounds(); !end.IsZero() && end.Before(next) {
			next = end
		}
		t = next
	}
	return m
}

// instants returns when a daemon runs e. It runs a fixed time when the clock first shows it or a
// later time, and an interval whenever the clock shows it.
func (m model) instants(e expression) []time.Time {
	var list []time.Time
	latest := m.shown[0]
	for i, w := range m.shown {
		run := false
		if e.interval {
			run = w.Second() == 0 && e.matches(w)
		}
		for v := latest.Truncate(time.Minute).Add(time.Minute); !e.interval && !v.After(w); v = v.Add(time.Minute) {
			run = run || e.matches(v)
		}
		if w.After(latest) {
			latest = w
		}
		if run {
			list = append(list, m.ticks[i])
		}
	}
	return list
}

func (m model) compare(t *testing.T, e expression, where *time.Location) error {
	t.Helper()
	cron, list := parse(t, e.text, where), m.instants(e)
	end := m.ticks[len(m.ticks)-1]
	for _, from := range []time.Duration{
		-margin, -12 * time.Hour, -time.Hour, -time.Minute, -1, 0, 1, time.Minute, 29 * time.Minute, time.Hour, 25 * time.Hour,
	} {
		after := m.change.Add(from)
		for len(list) > 0 && !list[0].After(after) {
			list = list[1:]
		}
		rest := list
		for {
			next := cron.Next(after)
			if !next.IsZero() && !next.After(after) {
				return fmt.Errorf("after %s comes %s", after, next)
			}
			over := next.IsZero() || next.After(end)
			if over != (len(rest) == 0) || !over && !next.Equal(rest[0]) {
				return fmt.Errorf("after %s comes %s, want the first of %v", after, next, rest)
			}
			if over || from != -margin {
				break
			}
			after, rest = next, rest[1:]
		}
	}
	return nil
}
