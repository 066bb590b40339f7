package applicationtoken_test

import (
	"errors"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
)

// Threats row 21: a predecessor that may go is retired before a new version is decided. After a
// crash nothing else would retire it.
func TestRotate_NoFaultLeavesFourthPredecessor(t *testing.T) {
	for _, m := range faultModes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newFixture(t)
				sound, leader := w.newManagementReplica(api), w.newOperator(api, api)
				made := w.rotatedThrice(sound)
				w.now = w.now.Add(24 * time.Hour)
				f := w.faults(at, m)
				if next, err := w.newManagementReplica(f.wrap(api)).Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", ""); err == nil {
					made = next
				}
				if err := errors.Join(f.verdict, leader.settleOwnNamespace(), w.checkInvariants()); err != nil {
					t.Errorf("at call %d: %v", at, err)
				}
				if !w.isAccepted(made.Secret) {
					t.Errorf("[2] at call %d: the token that was answered last is dead", at)
				}
				hit = f.hits > 0
			}
		})
	}
}

// rotatedThrice creates a token that does not expire, rotates it three times, and returns its newest
// version.
func (w *fixture) rotatedThrice(k *managementReplica) management.Issued {
	w.t.Helper()
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Lifetime = 0 }))
	w.must(err)
	for range 3 {
		w.now = w.now.Add(10 * time.Minute)
		made, err = k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
		w.must(err)
	}
	return made
}
