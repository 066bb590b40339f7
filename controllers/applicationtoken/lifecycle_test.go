package applicationtoken_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// lifecycleStep is one event in the life of a token, and what must be true once the operator has
// settled.
type lifecycleStep struct {
	name      string
	apply     func(*fixture) error
	delivered int // tokens that the Secret has held since the start, each counted once
	records   int
}

// lifecycle lists the events in the life of a token.
var lifecycle = []lifecycleStep{
	{"issue", (*fixture).DeclareToken, 1, 1},
	{"what a crash left has had its minOverlap", later(10 * time.Minute), 1, 1}, // it may count as a predecessor
	{"rotate", setTrigger("2"), 2, 2},
	{"minOverlap passes", later(10 * time.Minute), 2, 2},
	{"rotate again", setTrigger("3"), 3, 3},
	{"the successor is used, and its predecessors are quiet", useSuccessor, 3, 1},
	{"the Secret is deleted", deleteSecret, 4, 2},
	{"grants change", func(w *fixture) error {
		return w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Roles = []v1alpha1.RoleName{"primary", "second"} })
	}, 4, 2},
	{"the overlap passes", later(24 * time.Hour), 4, 1},
	{"the record is deleted", deleteRecord, 5, 1},
	{"orphans have become old", later(24*time.Hour + 11*time.Minute), 5, 1},
}

// lifecycleEndings are the two ways in which that life ends.
var lifecycleEndings = map[string]lifecycleStep{
	"revoke": {"revoke", func(w *fixture) error {
		w.History.Ending = true
		return w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.State = v1alpha1.TokenRevoked })
	}, 5, 0},
	"delete": {"delete", func(w *fixture) error {
		w.History.Ending = true
		return api.Delete(w.Ctx, &v1alpha1.ApplicationToken{ObjectMeta: objectMeta(w)})
	}, 5, 0},
}

func setTrigger(value string) func(*fixture) error {
	return func(w *fixture) error {
		w.Now = w.Now.Add(2 * time.Second)
		return w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = value })
	}
}

func later(d time.Duration) func(*fixture) error {
	return func(w *fixture) error { w.Now = w.Now.Add(d); return nil }
}

// useSuccessor uses the token in the Secret, and lets the quietPeriod of its predecessors pass.
func useSuccessor(w *fixture) error {
	w.Now = w.Now.Add(time.Hour)
	return w.Store().Use(w.Ctx, w.TokenInSecret().Digest().RecordName(), w.Now, "10.1.2.3")
}

func deleteSecret(w *fixture) error {
	return api.Delete(w.Ctx, &corev1.Secret{ObjectMeta: objectMeta(w)})
}

// deleteRecord revokes the current token, as kubectl delete tokenrecord would.
func deleteRecord(w *fixture) error {
	var at v1alpha1.ApplicationToken
	if err := api.Get(w.Ctx, w.Key(), &at); err != nil {
		return err
	}
	obj := &v1alpha1.TokenRecord{}
	obj.Namespace, obj.Name = w.OwnNamespace, at.Status.Current.Record
	w.History.Revoked = obj.Name
	w.History.Ending = true // intended: the token in the Secret is invalid until the next pass
	return api.Delete(w.Ctx, obj)
}

// runLifecycle runs the events of story up to the given ending. An operator from start settles each
// step; after a crash, a new operator is started.
func runLifecycle(w *fixture, ending string, f *operatortest.Faults, start func() *operatortest.Operator) error {
	for _, c := range append(append([]lifecycleStep{}, lifecycle...), lifecycleEndings[ending]) {
		f.BeginStep()
		if err := c.apply(w); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		err := operatortest.ErrCrash
		for restarts := 0; errors.Is(err, operatortest.ErrCrash) && restarts < 3; restarts++ {
			err = start().Settle()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		w.History.Ending = w.History.Ending && c.name == lifecycleEndings[ending].name
		if err := errors.Join(w.CheckInvariants(), w.checkStep(c)); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// checkStep checks that the step ended as it should. Orphans of a crash may stay until they are old
// enough.
func (w *fixture) checkStep(c lifecycleStep) error {
	if n := len(w.History.Delivered); n != c.delivered {
		return fmt.Errorf("[4] the Secret has held %d tokens, not %d", n, c.delivered)
	}
	n := w.RecordsLeft()
	if exact := c.name == "orphans have become old" || c.records == 0; n < c.records || exact && n != c.records {
		return fmt.Errorf("%d records are left, not %d", n, c.records)
	}
	if c.records > 0 {
		return nil
	}
	err := api.Get(w.Ctx, w.Key(), &corev1.Secret{})
	if !apierrors.IsNotFound(err) {
		return errors.New("the Secret is still there")
	}
	return nil
}

func TestLifecycle_WithoutFaults(t *testing.T) {
	for ending := range lifecycleEndings {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			f := w.Faults(0, operatortest.FaultMode{})
			c := f.Wrap(api)
			if err := errors.Join(runLifecycle(w, ending, f, func() *operatortest.Operator { return w.NewOperator(c, c) }), f.Verdict); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d writes", w.Writes.Load())
		})
	}
}

// alternateEnding returns one ending for every second call, and the other for the rest.
func alternateEnding(at int) string {
	if at%2 == 0 {
		return "revoke"
	}
	return "delete"
}

// Invariants 2 to 5, and threats rows 20 and 22: a crash, an error, a conflict or a lost response
// at each API call of every step of a token's life.
func TestLifecycle_NoFaultBreaksAnInvariant(t *testing.T) {
	var points atomic.Int64
	t.Cleanup(func() { t.Logf("%d points of failure were tried", points.Load()) })
	for _, m := range operatortest.FaultModes {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newFixture(t)
				f := w.Faults(at, m)
				start := func() *operatortest.Operator { f.HasCrashed = false; c := f.Wrap(api); return w.NewOperator(c, c) }
				if err := errors.Join(runLifecycle(w, alternateEnding(at), f, start), f.Verdict); err != nil {
					t.Fatalf("at call %d of each chapter, %s: %v", at, alternateEnding(at), err)
				}
				hit = f.Hits > 0
				points.Add(int64(f.Hits))
			}
		})
	}
}

// Invariant 4: two leaders. Before the first, second, and each further API call of one leader, the
// other settles.
func TestRotate_TwoLeadersMakeOneSuccessor(t *testing.T) {
	var points atomic.Int64
	t.Cleanup(func() { t.Logf("%d points of interference were tried", points.Load()) })
	for from, ending := range []string{"delete", "revoke"} {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			for at, met := 1+from, true; met; at += len(lifecycleEndings) {
				w := newFixture(t)
				met = false
				rival, f := w.Faults(0, operatortest.FaultMode{}), w.Faults(0, operatortest.FaultMode{})
				other := w.NewOperator(rival.Wrap(api), api)
				f.Before = func(call int) {
					if call == at {
						met = true
						points.Add(1)
						f.Verdict = errors.Join(f.Verdict, other.Settle())
					}
				}
				c := f.Wrap(api)
				if err := errors.Join(runLifecycle(w, ending, f, func() *operatortest.Operator { return w.NewOperator(c, c) }), f.Verdict, rival.Verdict); err != nil {
					t.Fatalf("at call %d of each chapter: %v", at, err)
				}
			}
		})
	}
}

// A cache from which events are withheld. In each step, the operator reads an earlier state of
// every combination of kinds; then the events arrive.
func TestRotate_StaleCacheMakesNoSecondSuccessor(t *testing.T) {
	for kinds := 1; kinds < 1<<len(snapshotKinds); kinds++ {
		t.Run(snapshotName(kinds), func(t *testing.T) {
			t.Parallel()
			for ending := range lifecycleEndings {
				w := newFixture(t)
				f := w.Faults(0, operatortest.FaultMode{})
				if err := errors.Join(runLifecycleWithStaleCache(w, ending, kinds, f), f.Verdict); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// runLifecycleWithStaleCache runs the lifecycle. Each step runs first with a stale cache, as often
// as an impatient queue would, and then with a fresh one.
func runLifecycleWithStaleCache(w *fixture, ending string, kinds int, f *operatortest.Faults) error {
	held := &operatortest.Snapshot{Kinds: kinds}
	c := f.Wrap(api)
	return runLifecycle(w, ending, f, func() *operatortest.Operator {
		stale := w.NewOperator(held.Over(c), c)
		for range 3 {
			_ = stale.Pass() //nolint:errcheck // it may fail; the invariants are checked at each write
		}
		// The next step does not observe what happens from now on.
		fresh := w.NewOperator(c, c)
		w.Must(fresh.Settle())
		w.Must(held.Take(w.Fixture))
		return fresh
	})
}

// snapshotKinds are the kinds about which a cache can be stale.
var snapshotKinds = []string{"tokens", "Secrets", "records"}

func snapshotName(kinds int) string {
	var names []string
	for i, name := range snapshotKinds {
		if kinds&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

func objectMeta(w *fixture) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.Namespace, Name: "indexer"}
}
