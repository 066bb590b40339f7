package controllers_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/token"
)

// errand is one thing that is asked for at the desk, and what must be true once it was asked for until it was done.
type errand struct {
	name   string
	asks   func(w *world, k *counter, held token.Token) (desk.Issued, error)
	before int  // versions that are superseded at the end
	ends   bool // nothing is good then
	fresh  bool // nothing is made before
}

var errands = []errand{
	{name: "create", fresh: true, asks: func(w *world, k *counter, _ token.Token) (desk.Issued, error) {
		return k.Create(w.ctx, root, w.scope(), ci())
	}},
	{name: "clone", fresh: true, asks: func(w *world, k *counter, _ token.Token) (desk.Issued, error) {
		return k.Clone(w.ctx, root, w.scope(), w.shop+":indexer", "CI_deploy", "a key")
	}},
	{name: "rotate under a key", before: 1, asks: func(w *world, k *counter, _ token.Token) (desk.Issued, error) {
		return k.Rotate(w.ctx, root, w.scope(), "CI_deploy", "a key")
	}},
	{name: "rotate its own", before: 1, asks: func(w *world, k *counter, held token.Token) (desk.Issued, error) {
		return k.RotateOwn(w.ctx, root, held.Digest(), "")
	}},
	{name: "revoke", ends: true, asks: func(w *world, k *counter, _ token.Token) (desk.Issued, error) {
		return desk.Issued{}, k.Revoke(w.ctx, w.scope(), "CI_deploy")
	}},
}

// run asks once with a fault at a call, and then, as whoever got no answer would, without. A leader looks after both.
func (e errand) run(w *world, f *faults) error {
	sound, leader := w.counter(api), w.start(api, api)
	var held desk.Issued
	if e.name == "clone" {
		if err := errors.Join(w.declare(), leader.settle()); err != nil {
			return err
		}
	}
	if !e.fresh {
		var err error
		if held, err = sound.Create(w.ctx, root, w.scope(), ci()); err != nil {
			return err
		}
	}
	w.now = w.now.Add(time.Second)
	f.chapter()
	c := f.wrap(api)
	answered, err := e.asks(w, w.counter(c), held.Secret)
	if _, refused := errors.AsType[*desk.Refused](err); err != nil && !errors.Is(err, desk.ErrUnavailable) || refused {
		return fmt.Errorf("the answer to a failure is %w", err)
	}
	if err == nil && !e.ends && !w.good(answered.Secret) {
		return errors.New("[2] what was answered is dead")
	}
	if err == nil && e.ends && w.good(held.Secret) {
		return errors.New("[3] row 12: revoked, it is good")
	}
	if f.hits > 0 && f.at%2 == 0 { // the leader comes between, or it does not
		if err := leader.lookAfter(); err != nil {
			return err
		}
	}
	first := err
	if err != nil {
		answered, err = e.asks(w, sound, held.Secret)
		switch {
		case e.ends && errors.Is(err, desk.ErrMissing): // all is done
		case e.name == "create" && errors.Is(err, desk.ErrTaken):
			// It was made, and the answer was lost: whoever asked can start again.
			if err := sound.Revoke(w.ctx, w.scope(), "CI_deploy"); err != nil {
				return err
			}
			if answered, err = e.asks(w, sound, held.Secret); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("asked again after %w: %w", first, err)
		}
	}
	if e.ends && w.good(held.Secret) {
		return errors.New("[3] it is good")
	}
	if err := leader.lookAfter(); err != nil {
		return err
	}
	w.now = time.Now().Add(plan.LitterAge + 2*time.Second).Truncate(time.Second)
	return e.rests(w, leader, answered)
}

// rests lets litter become old, and judges what is left.
func (e errand) rests(w *world, leader *operator, answered desk.Issued) error {
	if err := errors.Join(leader.lookAfter(), w.check()); err != nil {
		return err
	}
	if e.ends {
		if n := w.recordsLeft(); n > 0 {
			return fmt.Errorf("[3] %d records are left", n)
		}
		return nil
	}
	// A predecessor stays, since no consumer uses its successor; of a clone there is the source.
	want := map[bool]int{false: 1, true: 2}[e.name == "clone"]
	if current, before := w.standing(); current != want || before != e.before {
		return fmt.Errorf("[4] %d versions stand and %d are superseded, not %d and %d", current, before, want, e.before)
	}
	if !w.good(answered.Secret) {
		return errors.New("[2] the token that was answered last is dead")
	}
	return nil
}

// Invariants 2 to 5 and threats rows 12 and 20.
func TestNoFaultAtAnyCallOfTheDeskBreaksAnInvariant(t *testing.T) {
	var points atomic.Int64
	t.Cleanup(func() { t.Logf("%d points of failure were tried", points.Load()) })
	for _, e := range errands {
		for _, m := range modes {
			t.Run(e.name+", "+m.name, func(t *testing.T) {
				t.Parallel()
				for at, hit := 1, true; hit; at++ {
					w := newWorld(t)
					f := w.faults(at, m)
					if err := errors.Join(e.run(w, f), f.verdict); err != nil {
						t.Fatalf("at call %d: %v", at, err)
					}
					hit = f.hits > 0
					points.Add(int64(f.hits))
				}
			})
		}
	}
}

// many asks at once, half of them at one replica and half at another.
func (w *world) many(n int, ask func(k *counter) (desk.Issued, error)) (answered []desk.Issued, failed []error) {
	replicas := []*counter{w.counter(api), w.counter(api)}
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
func TestOfManyWhoMakeATokenOneDoes(t *testing.T) {
	w := newWorld(t)
	answered, failed := w.many(8, func(k *counter) (desk.Issued, error) { return k.Create(w.ctx, root, w.scope(), ci()) })
	if len(answered) != 1 {
		t.Fatalf("%d were told of a token", len(answered))
	}
	for _, err := range failed {
		if !errors.Is(err, desk.ErrTaken) {
			t.Errorf("%v", err)
		}
	}
	w.must(w.start(api, api).lookAfter())
	w.must(w.arrivedAt(answered[0].Secret, 0))
}

func TestOfManyWhoRotateATokenOneSuccessorIsLeft(t *testing.T) {
	for name, rotate := range map[string]func(w *world, k *counter, held token.Token) (desk.Issued, error){
		"each with the token": func(w *world, k *counter, held token.Token) (desk.Issued, error) {
			return k.RotateOwn(w.ctx, root, held.Digest(), "")
		},
		"each under one key": func(w *world, k *counter, _ token.Token) (desk.Issued, error) {
			return k.Rotate(w.ctx, root, w.scope(), "CI_deploy", "key")
		},
		"and the leader looks": func(w *world, k *counter, held token.Token) (desk.Issued, error) {
			return k.RotateOwn(w.ctx, root, held.Digest(), "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			made, err := w.counter(api).Create(w.ctx, root, w.scope(), ci())
			w.must(err)
			w.must(w.start(api, api).lookAfter())
			w.now = w.now.Add(time.Second)
			done := make(chan struct{})
			var looking sync.WaitGroup
			if name == "and the leader looks" {
				looking.Go(func() {
					for o := w.start(api, api); ; {
						select {
						case <-done:
							return
						default:
							_ = o.lookAfter() //nolint:errcheck // it may fail; the end is judged
						}
					}
				})
			}
			answered, failed := w.many(8, func(k *counter) (desk.Issued, error) { return rotate(w, k, made.Secret) })
			close(done)
			looking.Wait()
			for _, err := range failed {
				t.Errorf("%v", err)
			}
			alive := 0
			for _, a := range answered {
				if w.good(a.Secret) {
					alive++
				}
			}
			current, before := w.standing()
			if alive != 1 || current != 1 || before != 1 || !w.good(made.Secret) {
				t.Errorf("[4] of %d that were answered %d are good; %d stand, %d are superseded", len(answered), alive, current, before)
			}
		})
	}
}

// Invariants 3 and 6: who ends a token, or takes from it, wins over who rotates it, though there is no leader.
func TestARotationSavesNothingFromWhoEndsOrNarrowsAToken(t *testing.T) {
	for range 4 {
		w := newWorld(t)
		made, err := w.counter(api).Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Roles = []string{"primary", "second"} }))
		w.must(err)
		narrowed := make(chan error, 1)
		go func() {
			_, err := w.counter(api).Change(w.ctx, root, w.scope(), "CI_deploy", desk.Change{Roles: new([]string{"second"})})
			narrowed <- err
		}()
		_, failed := w.many(4, func(k *counter) (desk.Issued, error) { return k.RotateOwn(w.ctx, root, made.Secret.Digest(), "") })
		w.must(errors.Join(append(failed, <-narrowed)...))
		var list v1alpha1.TokenRecordList
		w.must(api.List(w.ctx, &list, client.InNamespace(w.own)))
		for i := range list.Items {
			if s := list.Items[i].Spec; len(s.Roles) != 1 {
				t.Errorf("[6] version %d still has %v", s.Version, s.Roles)
			}
		}

		revoked := make(chan error, 1)
		go func() { revoked <- w.counter(api).Revoke(w.ctx, w.scope(), "CI_deploy") }()
		answered, _ := w.many(4, func(k *counter) (desk.Issued, error) { return k.Rotate(w.ctx, root, w.scope(), "CI_deploy", "") })
		w.must(<-revoked)
		for _, a := range append(answered, made) {
			if w.good(a.Secret) {
				t.Error("[3] a version outlives the revocation")
			}
		}
		if n := w.recordsLeft(); n > 0 {
			t.Errorf("[3] %d records are left", n)
		}
	}
}
