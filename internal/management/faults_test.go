package management_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

// managementCall is one request to the management API, and what must be true once it was repeated
// until it succeeded.
type managementCall struct {
	name   string
	send   func(w *fixture, k *operatortest.ManagementReplica, held token.Token) (management.Issued, error)
	before int  // superseded versions at the end
	ends   bool // no version is valid then
	fresh  bool // nothing is created before
}

var managementCalls = []managementCall{
	{name: "create", fresh: true, send: func(w *fixture, k *operatortest.ManagementReplica, _ token.Token) (management.Issued, error) {
		return k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	}},
	{name: "clone", fresh: true, send: func(w *fixture, k *operatortest.ManagementReplica, _ token.Token) (management.Issued, error) {
		return k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), w.Namespace+":indexer", "CI_deploy", "a key")
	}},
	{name: "rotate under a key", before: 1, send: func(w *fixture, k *operatortest.ManagementReplica, _ token.Token) (management.Issued, error) {
		return k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "a key")
	}},
	{name: "rotate its own", before: 1, send: func(w *fixture, k *operatortest.ManagementReplica, held token.Token) (management.Issued, error) {
		return k.RotateOwn(w.Ctx, operatortest.RootCaller, held.Digest(), "")
	}},
	{name: "revoke", ends: true, send: func(w *fixture, k *operatortest.ManagementReplica, _ token.Token) (management.Issued, error) {
		return management.Issued{}, k.Revoke(w.Ctx, w.Scope(), "CI_deploy")
	}},
}

// run sends the request once with a fault at one call. If it fails, run repeats it without faults,
// as a caller without a response would. A leader settles after both.
func (e managementCall) run(w *fixture, f *operatortest.Faults) error {
	sound, leader := w.NewManagementReplica(api), w.NewOperator(api, api)
	var held management.Issued
	if e.name == "clone" {
		if err := errors.Join(w.DeclareToken(), leader.Settle()); err != nil {
			return err
		}
	}
	if !e.fresh {
		var err error
		if held, err = sound.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken()); err != nil {
			return err
		}
	}
	w.Now = w.Now.Add(time.Second)
	f.BeginStep()
	c := f.Wrap(api)
	answered, err := e.send(w, w.NewManagementReplica(c), held.Secret)
	if _, refused := errors.AsType[*management.Refused](err); err != nil && !errors.Is(err, management.ErrUnavailable) || refused {
		return fmt.Errorf("the answer to a failure is %w", err)
	}
	if err == nil && !e.ends && !w.IsAccepted(answered.Secret) {
		return errors.New("[2] what was answered is dead")
	}
	if err == nil && e.ends && w.IsAccepted(held.Secret) {
		return errors.New("[3] row 12: revoked, it is good")
	}
	if f.Hits > 0 && f.At%2 == 0 { // the leader runs in between, or it does not
		if err := leader.SettleOwnNamespace(); err != nil {
			return err
		}
	}
	first := err
	if err != nil {
		answered, err = e.send(w, sound, held.Secret)
		switch {
		case e.ends && errors.Is(err, management.ErrNotFound): // everything is done
		case e.name == "create" && errors.Is(err, management.ErrExists):
			// It was created, and the response was lost: the caller can start again.
			if err := sound.Revoke(w.Ctx, w.Scope(), "CI_deploy"); err != nil {
				return err
			}
			if answered, err = e.send(w, sound, held.Secret); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("asked again after %w: %w", first, err)
		}
	}
	if e.ends && w.IsAccepted(held.Secret) {
		return errors.New("[3] it is good")
	}
	if err := leader.SettleOwnNamespace(); err != nil {
		return err
	}
	w.Now = time.Now().Add(plan.OrphanAge + 2*time.Second).Truncate(time.Second)
	return e.checkAfterSettling(w, leader, answered)
}

// checkAfterSettling waits until orphans are old enough to be deleted, and checks what is left.
func (e managementCall) checkAfterSettling(w *fixture, leader *operatortest.Operator, answered management.Issued) error {
	if err := errors.Join(leader.SettleOwnNamespace(), w.CheckInvariants()); err != nil {
		return err
	}
	if e.ends {
		if n := w.RecordsLeft(); n > 0 {
			return fmt.Errorf("[3] %d records are left", n)
		}
		return nil
	}
	// A predecessor stays, since its successor is not used. A clone has its source beside it.
	want := map[bool]int{false: 1, true: 2}[e.name == "clone"]
	if current, before := w.CountVersions(); current != want || before != e.before {
		return fmt.Errorf("[4] %d versions stand and %d are superseded, not %d and %d", current, before, want, e.before)
	}
	if !w.IsAccepted(answered.Secret) {
		return errors.New("[2] the token that was answered last is dead")
	}
	return nil
}

// Invariants 2 to 5 and threats rows 12 and 20.
func TestManage_NoFaultBreaksAnInvariant(t *testing.T) {
	var points atomic.Int64
	t.Cleanup(func() { t.Logf("%d points of failure were tried", points.Load()) })
	for _, e := range managementCalls {
		for _, m := range operatortest.FaultModes {
			t.Run(e.name+", "+m.Name, func(t *testing.T) {
				t.Parallel()
				for at, hit := 1, true; hit; at++ {
					w := newFixture(t)
					f := w.Faults(at, m)
					if err := errors.Join(e.run(w, f), f.Verdict); err != nil {
						t.Fatalf("at call %d: %v", at, err)
					}
					hit = f.Hits > 0
					points.Add(int64(f.Hits))
				}
			})
		}
	}
}

// callConcurrently sends n requests at once, half of them to one replica and half to another.
func (w *fixture) callConcurrently(n int, ask func(k *operatortest.ManagementReplica) (management.Issued, error)) (answered []management.Issued, failed []error) {
	replicas := []*operatortest.ManagementReplica{w.NewManagementReplica(api), w.NewManagementReplica(api)}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			issued, err := ask(replicas[i%2])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, err)
			} else {
				answered = append(answered, issued)
			}
		})
	}
	all.Wait()
	return answered, failed
}

// Threats row 20.
func TestCreate_OneOfConcurrentCallersSucceeds(t *testing.T) {
	w := newFixture(t)
	answered, failed := w.callConcurrently(8, func(k *operatortest.ManagementReplica) (management.Issued, error) {
		return k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	})
	if len(answered) != 1 {
		t.Fatalf("%d callers got a token", len(answered))
	}
	for _, err := range failed {
		if !errors.Is(err, management.ErrExists) {
			t.Errorf("%v", err)
		}
	}
	w.Must(w.NewOperator(api, api).SettleOwnNamespace())
	w.Must(w.CheckLastDelivered(answered[0].Secret, 0))
}

func TestRotate_ConcurrentCallersLeaveOneSuccessor(t *testing.T) {
	for name, rotate := range map[string]func(w *fixture, k *operatortest.ManagementReplica, held token.Token) (management.Issued, error){
		"each with the token": func(w *fixture, k *operatortest.ManagementReplica, held token.Token) (management.Issued, error) {
			return k.RotateOwn(w.Ctx, operatortest.RootCaller, held.Digest(), "")
		},
		"each under one key": func(w *fixture, k *operatortest.ManagementReplica, _ token.Token) (management.Issued, error) {
			return k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "key")
		},
		"and the leader looks": func(w *fixture, k *operatortest.ManagementReplica, held token.Token) (management.Issued, error) {
			return k.RotateOwn(w.Ctx, operatortest.RootCaller, held.Digest(), "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			made, err := w.NewManagementReplica(api).Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
			w.Must(err)
			w.Must(w.NewOperator(api, api).SettleOwnNamespace())
			w.Now = w.Now.Add(time.Second)
			done := make(chan struct{})
			var looking sync.WaitGroup
			if name == "and the leader looks" {
				looking.Go(func() {
					for o := w.NewOperator(api, api); ; {
						select {
						case <-done:
							return
						default:
							_ = o.SettleOwnNamespace() //nolint:errcheck // it may fail; the end is checked
						}
					}
				})
			}
			answered, failed := w.callConcurrently(8, func(k *operatortest.ManagementReplica) (management.Issued, error) { return rotate(w, k, made.Secret) })
			close(done)
			looking.Wait()
			for _, err := range failed {
				t.Errorf("%v", err)
			}
			alive := 0
			for _, a := range answered {
				if w.IsAccepted(a.Secret) {
					alive++
				}
			}
			current, before := w.CountVersions()
			if alive != 1 || current != 1 || before != 1 || !w.IsAccepted(made.Secret) {
				t.Errorf("[4] of %d that were answered %d are good; %d stand, %d are superseded", len(answered), alive, current, before)
			}
		})
	}
}

// Invariants 3 and 6: a caller that ends a token, or takes grants from it, wins over callers that
// rotate it, even without a leader.
func TestRotate_ConcurrentRevocationAndReductionWin(t *testing.T) {
	for range 4 {
		w := newFixture(t)
		made, err := w.NewManagementReplica(api).Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Roles = []string{"primary", "second"} }))
		w.Must(err)
		narrowed := make(chan error, 1)
		go func() {
			_, err := w.NewManagementReplica(api).Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{Roles: new([]string{"second"})})
			narrowed <- err
		}()
		_, failed := w.callConcurrently(4, func(k *operatortest.ManagementReplica) (management.Issued, error) {
			return k.RotateOwn(w.Ctx, operatortest.RootCaller, made.Secret.Digest(), "")
		})
		w.Must(errors.Join(append(failed, <-narrowed)...))
		var list v1alpha1.TokenRecordList
		w.Must(api.List(w.Ctx, &list, client.InNamespace(w.OwnNamespace)))
		for i := range list.Items {
			if s := list.Items[i].Spec; len(s.Roles) != 1 {
				t.Errorf("[6] version %d still has %v", s.Version, s.Roles)
			}
		}

		revoked := make(chan error, 1)
		go func() { revoked <- w.NewManagementReplica(api).Revoke(w.Ctx, w.Scope(), "CI_deploy") }()
		answered, _ := w.callConcurrently(4, func(k *operatortest.ManagementReplica) (management.Issued, error) {
			return k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
		})
		w.Must(<-revoked)
		for _, a := range append(answered, made) {
			if w.IsAccepted(a.Secret) {
				t.Error("[3] a version outlives the revocation")
			}
		}
		if n := w.RecordsLeft(); n > 0 {
			t.Errorf("[3] %d records are left", n)
		}
	}
}
