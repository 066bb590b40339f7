package controllers_test

import (
	"errors"
	"testing"
	"time"
)

// Threats row 21: what may go goes before it is decided who comes. After a crash no other pass would
// let it go.
func TestWhereThreePredecessorsAreKeptNoFaultLeavesAFourth(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newWorld(t)
				sound, leader := w.counter(api), w.start(api, api)
				made := w.rotatedThrice(sound)
				w.now = w.now.Add(24 * time.Hour)
				f := w.faults(at, m)
				if next, err := w.counter(f.wrap(api)).Rotate(w.ctx, root, w.scope(), "CI_deploy", ""); err == nil {
					made = next
				}
				if err := errors.Join(f.verdict, leader.lookAfter(), w.check()); err != nil {
					t.Errorf("at call %d: %v", at, err)
				}
				if !w.good(made.Secret) {
					t.Errorf("[2] at call %d: the token that was answered last is dead", at)
				}
				hit = f.hits > 0
			}
		})
	}
}
