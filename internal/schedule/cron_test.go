package schedule_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/apptoken/operator/internal/schedule"
)

func parse(t *testing.T, text string, where *time.Location) schedule.Cron {
	t.Helper()
	c, err := schedule.Parse(text, where)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return c
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNext_ClockSetForwardOrBack(t *testing.T) {
	for name, c := range map[string]struct{ zone, text, after, want string }{
		"a weekly time in the missing hour":                 {"Europe/Zurich", "30 2 * * 0", "2026-03-22T12:00:00Z", "2026-03-29T01:00:00Z 2026-04-05T00:30:00Z"},
		"a yearly time in the missing hour":                 {"Europe/Zurich", "30 2 28 3 *", "2026-04-01T00:00:00Z", "2027-03-28T01:00:00Z 2028-03-28T00:30:00Z"},
		"a daily time in the missing hour":                  {"Europe/Zurich", "30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:30:00Z"},
		"several times in the missing hour are one":         {"Europe/Zurich", "10,20,50 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:10:00Z"},
		"the missing hour and the end of it are one":        {"Europe/Zurich", "0,30 2,3 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-29T01:30:00Z 2026-03-30T00:00:00Z"},
		"the end of the missing hour":                       {"Europe/Zurich", "0 3 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T01:00:00Z"},
		"a daily time in the repeated hour":                 {"Europe/Zurich", "30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z"},
		"asked between the two times":                       {"Europe/Zurich", "30 2 * * *", "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z"},
		"the end of the repeated hour":                      {"Europe/Zurich", "0 3 * * *", "2026-10-24T12:00:00Z", "2026-10-25T02:00:00Z 2026-10-26T02:00:00Z"},
		"every minute goes on through the repeated hour":    {"Europe/Zurich", "* * * * *", "2026-10-25T00:58:00Z", "2026-10-25T00:59:00Z 2026-10-25T01:00:00Z 2026-10-25T01:01:00Z"},
		"an interval goes on over the missing hour":         {"Europe/Zurich", "*/15 * * * *", "2026-03-29T00:30:00Z", "2026-03-29T00:45:00Z 2026-03-29T01:00:00Z"},
		"a minute of every hour comes in both hours":        {"Europe/Zurich", "30 * * * *", "2026-10-24T23:45:00Z", "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z 2026-10-25T02:30:00Z"},
		"@hourly is an interval":                            {"Europe/Zurich", "@hourly", "2026-10-24T23:45:00Z", "2026-10-25T00:00:00Z 2026-10-25T01:00:00Z 2026-10-25T02:00:00Z"},
		"an interval within the missing hour":               {"Europe/Zurich", "*/30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:00:00Z"},
		"half an hour is missing":                           {"Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00Z", "2026-10-03T15:30:00Z 2026-10-04T15:15:00Z"},
		"half an hour is repeated":                          {"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00:00Z", "2026-04-04T14:45:00Z 2026-04-05T15:15:00Z"},
		"an interval over half an hour":                     {"Australia/Lord_Howe", "*/20 * * * *", "2026-10-03T15:10:00Z", "2026-10-03T15:40:00Z 2026-10-03T16:00:00Z"},
		"midnight is missing":                               {"America/Sao_Paulo", "@daily", "2018-11-03T12:00:00Z", "2018-11-04T03:00:00Z 2018-11-05T02:00:00Z"},
		"midnight is missing on the first of the month":     {"Asia/Amman", "0 0 1 4 *", "2005-01-01T00:00:00Z", "2005-03-31T22:00:00Z"},
		"midnight is repeated":                              {"America/Havana", "0 0 * * *", "2026-10-31T12:00:00Z", "2026-11-01T04:00:00Z 2026-11-02T05:00:00Z"},
		"a day is missing":                                  {"Pacific/Apia", "0 12 30 12 *", "2011-12-01T00:00:00Z", "2011-12-30T10:00:00Z 2012-12-29T22:00:00Z"},
		"the offset changes for good":                       {"Asia/Pyongyang", "45 23 * * *", "2018-05-04T00:00:00Z", "2018-05-04T15:00:00Z 2018-05-05T14:45:00Z"},
		"a leap day after a century without one":            {"UTC", "0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		"an interval on leap days":                          {"Europe/Zurich", "*/30 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-28T23:00:00Z 2104-02-28T23:30:00Z"},
		"the last day of a leap year":                       {"Europe/Zurich", "0 12 * * *", "2028-12-30T12:00:00Z", "2028-12-31T11:00:00Z 2029-01-01T11:00:00Z"},
		"the last day of a leap year in the south":          {"Pacific/Auckland", "0 12 31 12 *", "2028-01-01T00:00:00Z", "2028-12-30T23:00:00Z 2029-12-30T23:00:00Z"},
		"an interval on the last day of a leap year":        {"Europe/Zurich", "*/30 12 31 12 *", "2028-06-01T00:00:00Z", "2028-12-31T11:00:00Z 2028-12-31T11:30:00Z 2029-12-31T11:00:00Z"},
		"what is asked about may be in another time zone":   {"Europe/Zurich", "0 3 * * *", "2026-07-01T00:00:00-07:00", "2026-07-02T01:00:00Z"},
		"the instant itself is too early":                   {"Europe/Zurich", "0 3 * * *", "2026-07-01T01:00:00Z", "2026-07-02T01:00:00Z"},
		"no day has the date":                               {"Europe/Zurich", "0 3 30 2 *", "2026-07-01T01:00:00Z", "0001-01-01T00:00:00Z"},
		"no day has the date, for an interval":              {"Europe/Zurich", "* 3 30 2 *", "2026-07-01T01:00:00Z", "0001-01-01T00:00:00Z"},
		"a fraction of a second before":                     {"UTC", "0 3 * * *", "2026-07-01T02:59:59.999999999Z", "2026-07-01T03:00:00Z"},
		"a fraction of a second after":                      {"UTC", "0 3 * * *", "2026-07-01T03:00:00.000000001Z", "2026-07-02T03:00:00Z"},
		"a fraction of a second into a period of summer":    {"Europe/Zurich", "30 2 * * *", "2026-03-29T01:00:00.5Z", "2026-03-30T00:30:00Z"},
		"an interval, a fraction of a second after a match": {"Europe/Zurich", "*/15 * * * *", "2026-03-29T00:45:00.5Z", "2026-03-29T01:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			where, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			cron, instant := parse(t, c.text, where), at(t, c.after)
			for i, want := range strings.Fields(c.want) {
				instant = cron.Next(instant)
				if !instant.Equal(at(t, want)) {
					t.Fatalf("instant %d is %s, want %s", i+1, instant.UTC().Format(time.RFC3339), want)
				}
			}
		})
	}
}

func TestParse_RefusesInvalidExpressions(t *testing.T) {
	for _, text := range []string{"", " ", "@every 1h", "@every", "@reboot", "TZ=UTC", "CRON_TZ=UTC 0 3 * * *", "* * * *", "* * * * * *", "60 * * * *", "0 24 * * *", "a b c d e", "*/0 * * * *"} {
		if _, err := schedule.Parse(text, time.UTC); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
