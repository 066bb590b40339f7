package management_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// checkRecordGrants checks that the newest record has what its token says, even without a leader.
func (w *fixture) checkRecordGrants(k *operatortest.ManagementReplica) error {
	shown, err := k.Get(w.Ctx, w.Scope(), "CI_deploy")
	if err != nil {
		return err
	}
	at, r := w.ManagedObject(shown), w.NewestRecord()
	asked := make([]string, 0, len(at.Spec.Roles))
	for _, name := range at.Spec.Roles {
		asked = append(asked, string(name))
	}
	if slices.Sort(asked); !slices.Equal(asked, r.Roles) || r.Suspended != (at.Spec.State == v1alpha1.TokenSuspended) {
		return fmt.Errorf("[6] the token asks for %v and is %s, the record has %v and is suspended: %v", asked, at.Spec.State, r.Roles, r.Suspended)
	}
	return nil
}

// Invariants 6 and 7, and threats row 20: of two writers of a token, the one that writes a record
// last may be the one that wrote the token first.
func TestChange_ConcurrentReductionIsKept(t *testing.T) {
	for name, meanwhile := range map[string]func(*fixture, *operatortest.ManagementReplica) error{
		"it is narrowed": func(w *fixture, k *operatortest.ManagementReplica) error {
			_, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{Roles: new([]string{"second"})})
			return err
		},
		"it is suspended": func(w *fixture, k *operatortest.ManagementReplica) error {
			_, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{State: new("Suspended")})
			return err
		},
		"it is ended, and another has its name": func(w *fixture, k *operatortest.ManagementReplica) error {
			if err := k.Revoke(w.Ctx, w.Scope(), "CI_deploy"); err != nil {
				return err
			}
			_, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Roles = nil }))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newFixture(t)
				k := w.NewManagementReplica(api)
				_, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
				w.Must(err)
				hit = false
				f := w.Faults(0, operatortest.FaultMode{})
				f.Before = func(call int) {
					if call == at {
						hit = true
						w.Must(meanwhile(w, k))
					}
				}
				_, err = w.NewManagementReplica(f.Wrap(api)).Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{Roles: new([]string{"primary", "second"})})
				if err != nil && !errors.Is(err, management.ErrNotFound) {
					t.Errorf("before call %d: %v", at, err)
				}
				if err := errors.Join(w.checkRecordGrants(k), f.Verdict); err != nil {
					t.Errorf("before call %d: %v", at, err)
				}
			}
		})
	}
}

func TestChange_LastOfConcurrentWritersWins(t *testing.T) {
	for range 4 {
		w := newFixture(t)
		_, err := w.NewManagementReplica(api).Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
		w.Must(err)
		roles := make(chan []string, 8)
		for i := range cap(roles) {
			roles <- [][]string{nil, {"primary"}, {"second"}, {"primary", "second"}}[i%4]
		}
		_, failed := w.callConcurrently(cap(roles), func(k *operatortest.ManagementReplica) (management.Issued, error) {
			t, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{Roles: new(<-roles)})
			return management.Issued{Token: t}, err
		})
		w.Must(errors.Join(failed...))
		w.Must(w.checkRecordGrants(w.NewManagementReplica(api)))
	}
}
