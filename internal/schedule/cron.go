package schedule

import (
	"errors"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Expressions that the parser accepts and Parse does not.
var (
	errTimeZone = errors.New("a time zone is no part of an expression")
	errEvery    = errors.New("@every does not depend on the clock")
)

// Cron is a cron expression in a time zone.
type Cron struct {
	wall     *cron.SpecSchedule
	where    *time.Location
	interval bool // runs whenever the clock shows a match, however often that is
}

// Parse returns the schedule of a cron expression of five fields, or of a descriptor such as
// @daily.
func Parse(text string, where *time.Location) (Cron, error) {
	if strings.Contains(text, "=") {
		return Cron{}, errTimeZone
	}
	parsed, err := parser.Parse(text)
	if err != nil {
		return Cron{}, err
	}
	wall, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Cron{}, errEvery
	}
	wall.Location = time.UTC
	return Cron{wall: wall, where: where, interval: isInterval(text)}, nil
}

// In returns the schedule of the same expression in another time zone.
func (c Cron) In(where *time.Location) Cron {
	c.where = where
	return c
}

// isInterval reports whether the minute or the hour begins with a star. Cron daemons distinguish
// intervals from fixed times by that.
func isInterval(text string) bool {
	fields := strings.Fields(text)
	if len(fields) == 1 {
		return fields[0] == "@hourly"
	}
	return strings.ContainsAny(fields[0][:1]+fields[1][:1], "*?")
}

// Next returns the first instant of the schedule after the argument, in whole seconds. It returns
// the zero time if there is none.
func (c Cron) Next(after time.Time) time.Time {
	after = after.In(c.where)
	if c.interval {
		return c.nextShown(after)
	}
	next := c.nextWall(latestShown(after))
	if next.IsZero() {
		return time.Time{}
	}
	return c.firstReached(next)
}

// nextWall returns the first match after a wall-clock time. The library searches five years, but
// two leap days may be eight years apart.
func (c Cron) nextWall(after time.Time) time.Time {
	if next := c.wall.Next(after); !next.IsZero() {
		return next
	}
	return c.wall.Next(after.AddDate(5, 0, 0))
}

// maxPeriods bounds how many periods of one offset nextShown searches. A year has up to six.
const maxPeriods = 64

// nextShown returns the first instant after the argument at which the clock shows a match.
func (c Cron) nextShown(after time.Time) time.Time {
	wall := wallClock(after)
	for range maxPeriods {
		next := c.nextWall(wall)
		if next.IsZero() {
			return time.Time{}
		}
		at := instant(next, after)
		end := periodEnd(after)
		if end.IsZero() || at.Before(end) {
			return at
		}
		after, wall = end, wallClock(end).Add(-1)
	}
	return time.Time{}
}

// maxShift is longer than any change of a clock ever was.
const maxShift = 48 * time.Hour

// latestShown returns the latest time that the clock has shown up to t. Where the clock was set
// back, that is later than what it shows at t.
func latestShown(t time.Time) time.Time {
	latest := wallClock(t)
	for since := t.Add(-maxShift); ; {
		start, _ := t.ZoneBounds()
		if start.IsZero() || start.Before(since) {
			return latest
		}
		t = start.Add(-1)
		if shown := wallClock(t); shown.After(latest) {
			latest = shown
		}
	}
}

// firstReached returns the first instant at which the clock shows wall or later.
func (c Cron) firstReached(wall time.Time) time.Time {
	for t := wall.Add(-maxShift).In(c.where); ; {
		at := instant(wall, t)
		if at.Before(t) {
			return t // the clock was set forward past wall
		}
		end := periodEnd(t)
		if end.IsZero() || at.Before(end) {
			return at
		}
		t = end
	}
}

// periodEnd returns the end of the period in which the offset at t is known to hold, or zero for no
// end. The standard library ends the last period of a year at the end of the year. In a leap year
// it ends it a day too early, at an instant that is not after those of 31 December.
func periodEnd(t time.Time) time.Time {
	_, end := t.ZoneBounds()
	if end.IsZero() || end.After(t) {
		return end
	}
	return t.Truncate(24 * time.Hour).Add(24 * time.Hour)
}

// wallClock returns what the clock shows at t, written as UTC.
func wallClock(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// instant returns when the clock shows wall, if the offset at t holds then.
func instant(wall, t time.Time) time.Time {
	_, offset := t.Zone()
	return wall.Add(time.Duration(-offset) * time.Second).In(t.Location())
}
