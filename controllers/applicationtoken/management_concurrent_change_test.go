package applicationtoken_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
)

// checkRecordGrants checks that the newest record has what its token says, even without a leader.
func (w *fixture) checkRecordGrants(k *managementReplica) error {
	shown, err := k.Get(w.ctx, w.scope(), "CI_deploy")
	if err != nil {
		return err
	}
	at, r := w.managedObject(shown), w.newestRecord()
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
	for name, meanwhile := range map[string]func(*fixture, *managementReplica) error{
		"it is narrowed": func(w *fixture, k *managementReplica) error {
			_, err := k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{Roles: new([]string{"second"})})
			return err
		},
		"it is suspended": func(w *fixture, k *managementReplica) error {
			_, err := k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{State: new("Suspended")})
			return err
		},
		"it is ended, and another has its name": func(w *fixture, k *managementReplica) error {
			if err := k.Revoke(w.ctx, w.scope(), "CI_deploy"); err != nil {
				return err
			}
			_, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Roles = nil }))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newFixture(t)
				k := w.newManagementReplica(api)
				_, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
				w.must(err)
				hit = false
				f := w.faults(0, faultMode{})
				f.before = func(call int) {
					if call == at {
						hit = true
						w.must(meanwhile(w, k))
					}
				}
				_, err = w.newManagementReplica(f.wrap(api)).Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{Roles: new([]string{"primary", "second"})})
				if err != nil && !errors.Is(err, management.ErrNotFound) {
					t.Errorf("before call %d: %v", at, err)
				}
				if err := errors.Join(w.checkRecordGrants(k), f.verdict); err != nil {
					t.Errorf("before call %d: %v", at, err)
				}
			}
		})
	}
}

func TestChange_LastOfConcurrentWritersWins(t *testing.T) {
	for range 4 {
		w := newFixture(t)
		_, err := w.newManagementReplica(api).Create(w.ctx, rootCaller, w.scope(), ciToken())
		w.must(err)
		roles := make(chan []string, 8)
		for i := range cap(roles) {
			roles <- [][]string{nil, {"primary"}, {"second"}, {"primary", "second"}}[i%4]
		}
		_, failed := w.callConcurrently(cap(roles), func(k *managementReplica) (management.Issued, error) {
			t, err := k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{Roles: new(<-roles)})
			return management.Issued{Token: t}, err
		})
		w.must(errors.Join(failed...))
		w.must(w.checkRecordGrants(w.newManagementReplica(api)))
	}
}
