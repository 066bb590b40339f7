// Package schedule evaluates cron expressions in a time zone. Where a clock is set forward or back,
// it follows the cron daemons of Debian and Fedora.
//
//	                            in the missing hour    in the repeated hour
//	fixed time (30 2 * * *)     once, right after it   once, the first time
//	interval   (*/15 * * * *)   never                  each time the clock shows it
//
// The library github.com/robfig/cron parses expressions and evaluates them on wall-clock time
// written as UTC, where every minute exists once. Its own evaluation in a time zone skips matches
// in the missing hour and repeats matches in the repeated hour. This package therefore maps
// wall-clock time to instants. It does not read a clock.
package schedule
