// Package schedule evaluates cron expressions in a time zone, as the cron daemons of Debian and Fedora do where a clock is
// set forward or back.
//
//	fixed time (30 2 * * *)       in the missing hour: once, right after it; in the repeated hour: once, the first time
//	interval   (*/15 * * * *)     by what the clock shows: not in the missing hour, each time in the repeated hour
//
// github.com/robfig/cron parses expressions and evaluates them on wall-clock time written as UTC, where every minute exists
// once. Its own evaluation in a time zone skips what falls into the missing hour and repeats what falls into the repeated
// one, so this package maps wall-clock time to instants. It knows no clock.
package schedule
