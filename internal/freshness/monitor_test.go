package freshness_test

import (
	"slices"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/freshness"
)

var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// replica is a Monitor with a beat every two seconds.
type replica struct {
	freshness.Monitor
	now   time.Time
	signs map[string]time.Time

	broken bool // every watch
}

func newReplica(maxStaleness time.Duration) *replica {
	r := &replica{now: noon, signs: map[string]time.Time{"Client": noon, "User": noon}}
	r.Limits = freshness.LimitsOf(maxStaleness)
	r.beat(true)
	return r
}

func (r *replica) beat(answered bool) freshness.Status {
	var signs []freshness.Sign
	for kind, at := range r.signs {
		signs = append(signs, freshness.Sign{Kind: kind, At: at, Broken: r.broken})
	}
	return r.Evaluate(r.now, answered, signs)
}

// pass advances the clock by d, with signs of the kinds at each beat, and returns the last finding.
func (r *replica) pass(d time.Duration, answered bool, kinds ...string) freshness.Status {
	var f freshness.Status
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(2 * time.Second)
		for _, kind := range kinds {
			r.signs[kind] = r.now
		}
		f = r.beat(answered)
	}
	return f
}

func TestStaleness_LostWatchCloses(t *testing.T) {
	for name, x := range map[string]struct {
		maxStaleness, limit time.Duration
		broken              bool
	}{
		"for ever":                         {0, time.Minute, true},
		"an hour":                          {time.Hour, time.Minute, true},
		"an hour, and it is connected":     {time.Hour, time.Minute, false},
		"shorter than a minute":            {10 * time.Second, 10 * time.Second, true},
		"very short":                       {6 * time.Second, 6 * time.Second, true},
		"too short for a bookmark in time": {6 * time.Second, 12 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(x.maxStaleness)
			r.broken = x.broken
			if f := r.pass(x.limit, true, "User"); !f.Open || !f.Fresh {
				t.Errorf("at the limit: %+v", f)
			}
			if f := r.pass(2*time.Second, true, "User"); f.Open || f.Fresh || !slices.Equal(f.Lost, []string{"Client"}) || f.Limit != x.limit {
				t.Errorf("after the limit: %+v", f)
			}
			if f := r.pass(2*time.Second, true, "User", "Client"); !f.Open || !f.Fresh || f.Lost != nil || f.Limit != 0 {
				t.Errorf("with a sign: %+v", f)
			}
		})
	}
}

func TestStaleness_SignsOfOthersAreAnswers(t *testing.T) {
	r := newReplica(time.Hour)
	if f := r.pass(62*time.Second, false, "User"); !slices.Equal(f.Lost, []string{"Client"}) || !f.Contact.Equal(r.now) {
		t.Errorf("reads fail, the watch on Users delivers, that on Clients does not: %+v", f)
	}
}

func TestOutage_IsLastBeatWithoutAnswer(t *testing.T) {
	r := newReplica(0)
	if f := r.pass(time.Minute, true); !f.Outage.Equal(noon) {
		t.Errorf("what was before the first beat is not known: %s", f.Outage)
	}
	if f := r.pass(time.Hour, false, "User"); !f.Outage.Equal(r.now) {
		t.Errorf("reads fail, though a watch delivers: %s", f.Outage)
	}
	end := r.now
	if f := r.pass(time.Minute, true); !f.Outage.Equal(end) {
		t.Errorf("a minute after the outage: %s, not %s", f.Outage, end)
	}
}

func TestStaleness_OutageIsNoLostWatch(t *testing.T) {
	r := newReplica(time.Hour)
	if f := r.pass(59*time.Minute, false); !f.Open || f.Fresh || !f.Contact.Equal(noon) {
		t.Errorf("after an outage of almost an hour: %+v", f)
	}
	if f := r.pass(58*time.Second, true); !f.Open || !f.Fresh {
		t.Errorf("once the API server answers, the watches have their minute: %+v", f)
	}
	if f := r.pass(4*time.Second, true, "User"); !slices.Equal(f.Lost, []string{"Client"}) {
		t.Errorf("a watch that does not come back: %+v", f)
	}
}

// TestStaleness_InterruptedAnswersAddUp checks that an API server that answers intermittently does
// not give a lost watch a new minute each time.
func TestStaleness_InterruptedAnswersAddUp(t *testing.T) {
	r := newReplica(0)
	for range 20 {
		r.pass(20*time.Second, false)
		if f := r.pass(4*time.Second, true); f.Lost != nil {
			return
		}
	}
	t.Error("a lost watch is never noticed")
}

func TestStaleness_TooLongAnOutageWaitsForEveryWatch(t *testing.T) {
	r := newReplica(10 * time.Second)
	r.pass(12*time.Second, false)
	if f := r.pass(2*time.Second, true); f.Open || f.Fresh || !slices.Equal(f.Behind, []string{"Client", "User"}) {
		t.Errorf("at the first answer: %+v", f)
	}
	if f := r.pass(2*time.Second, true, "User"); f.Open || !slices.Equal(f.Behind, []string{"Client"}) {
		t.Errorf("one watch is back: %+v", f)
	}
	if f := r.pass(2*time.Second, true, "Client"); !f.Open || !f.Fresh || f.Behind != nil {
		t.Errorf("both are back: %+v", f)
	}
	forever := newReplica(0)
	forever.pass(100*time.Hour, false)
	if f := forever.pass(2*time.Second, true); !f.Open || !f.Fresh {
		t.Errorf("without a limit: %+v", f)
	}
}
