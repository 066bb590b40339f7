package management_test

import (
	"errors"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// Threats row 21: a predecessor that may go is retired before a new version is decided. After a
// crash nothing else would retire it.
func TestRotate_NoFaultLeavesFourthPredecessor(t *testing.T) {
	for _, m := range operatortest.FaultModes {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newFixture(t)
				sound, leader := w.NewManagementReplica(api), w.NewOperator(api, api)
				made := w.rotatedThrice(sound)
				w.Now = w.Now.Add(24 * time.Hour)
				f := w.Faults(at, m)
				if next, err := w.NewManagementReplica(f.Wrap(api)).Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", ""); err == nil {
					made = next
				}
				if err := errors.Join(f.Verdict, leader.SettleOwnNamespace(), w.CheckInvariants()); err != nil {
					t.Errorf("at call %d: %v", at, err)
				}
				if !w.IsAccepted(made.Secret) {
					t.Errorf("[2] at call %d: the token that was answered last is dead", at)
				}
				hit = f.Hits > 0
			}
		})
	}
}

// rotatedThrice creates a token that does not expire, rotates it three times, and returns its
// newest version.
func (w *fixture) rotatedThrice(k *operatortest.ManagementReplica) management.Issued {
	w.T.Helper()
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Lifetime = 0 }))
	w.Must(err)
	for range 3 {
		w.Now = w.Now.Add(10 * time.Minute)
		made, err = k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
		w.Must(err)
	}
	return made
}
