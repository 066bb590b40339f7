package applicationtoken_test

import (
	"testing"
	"time"
)

// Right after an outage of the API server, the records do not hold the uses that replicas noted
// during it.
func TestRetire_UnusedCountsAfterAnOutage(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	o := w.NewOperator(api, api)
	var outage time.Time
	o.Tokens.LastOutage = func() time.Time { return outage }
	w.Must(o.Settle())
	w.Must(setTrigger("2")(w))
	w.Must(o.Settle())
	w.Must(w.Store().Use(w.Ctx, w.NewestRecordName(), w.Now, ""))
	w.Now = w.Now.Add(70 * time.Minute) // more than quietPeriod
	outage = w.Now
	expect := func(step string, records int) {
		t.Helper()
		w.Must(o.Settle())
		if n := w.RecordsLeft(); n != records {
			t.Errorf("%s, there are %d records, not %d", step, n, records)
		}
	}
	expect("at the end of the outage", 2)
	w.Now = w.Now.Add(9 * time.Second)
	expect("while uses are being written", 2)
	w.Now = w.Now.Add(time.Second)
	expect("once uses are written", 1)
}
