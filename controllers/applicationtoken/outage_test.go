package applicationtoken_test

import (
	"testing"
	"time"
)

// Right after an outage of the API server, the records do not hold the uses that replicas noted
// during it.
func TestRetire_UnusedCountsAfterAnOutage(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	o := w.newOperator(api, api)
	var outage time.Time
	o.tokens.LastOutage = func() time.Time { return outage }
	w.must(o.settle())
	w.must(setTrigger("2")(w))
	w.must(o.settle())
	w.must(w.store().Use(w.ctx, w.newestRecordName(), w.now, ""))
	w.now = w.now.Add(70 * time.Minute) // more than quietPeriod
	outage = w.now
	expect := func(step string, records int) {
		t.Helper()
		w.must(o.settle())
		if n := w.recordsLeft(); n != records {
			t.Errorf("%s, there are %d records, not %d", step, n, records)
		}
	}
	expect("at the end of the outage", 2)
	w.now = w.now.Add(9 * time.Second)
	expect("while uses are being written", 2)
	w.now = w.now.Add(time.Second)
	expect("once uses are written", 1)
}
