package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/token"
)

// patience ends at a call: from then on the API server does not respond, and the caller waits no
// longer.
type patience struct {
	at, calls int
	end       context.CancelFunc
	endless   error // set by a call that would have waited forever
}

func (p *patience) hold(ctx context.Context, do func() error) error {
	if p.calls++; p.calls < p.at {
		return do()
	}
	p.end()
	if ctx.Done() == nil {
		p.endless = fmt.Errorf("call %d has no end", p.calls)
		return errCrash
	}
	<-ctx.Done()
	return ctx.Err()
}

func (p *patience) wrap(c client.WithWatch) client.WithWatch {
	return interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			return p.hold(ctx, func() error { return c.Get(ctx, key, obj, o...) })
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			return p.hold(ctx, func() error { return c.List(ctx, list, o...) })
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.CreateOption) error {
			return p.hold(ctx, func() error { return c.Create(ctx, obj, o...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, change client.Patch, o ...client.PatchOption) error {
			return p.hold(ctx, func() error { return c.Patch(ctx, obj, change, o...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			return p.hold(ctx, func() error { return c.Delete(ctx, obj, o...) })
		},
	})
}

// The reconciler and garbage collection do what is left when the caller stops waiting (row 12).
func TestNoCallOfTheDeskOutlastsThePatienceOfWhoeverAsked(t *testing.T) {
	asks := append([]errand{
		{name: "rotate what was not received", before: 1, asks: func(w *world, k *counter, _ token.Token) (desk.Issued, error) {
			return k.Rotate(w.ctx, root, w.scope(), "CI_deploy", "lost")
		}},
		{name: "change", asks: func(w *world, k *counter, held token.Token) (desk.Issued, error) {
			t, err := k.Change(w.ctx, root, w.scope(), "CI_deploy", desk.Change{Roles: new([]string{"second"})})
			return desk.Issued{Token: t, Secret: held}, err
		}},
	}, errands...)
	var points atomic.Int64
	t.Cleanup(func() { t.Logf("patience ended at %d points", points.Load()) })
	for _, e := range asks {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newWorld(t)
				p := &patience{at: at}
				if err := e.loses(w, p); err != nil {
					t.Fatalf("at call %d: %v", at, err)
				}
				if hit = p.calls >= at; hit {
					points.Add(1)
				}
			}
		})
	}
}

// loses sends the request once, and stops waiting when patience ends.
func (e errand) loses(w *world, p *patience) error {
	sound, leader := w.counter(api), w.start(api, api)
	var held desk.Issued
	var err error
	if e.name == "clone" {
		err = errors.Join(w.declare(), leader.settle())
	}
	if !e.fresh && err == nil {
		held, err = sound.Create(w.ctx, root, w.scope(), ci())
	}
	if e.name == "rotate what was not received" && err == nil {
		_, err = sound.Rotate(w.ctx, root, w.scope(), "CI_deploy", "lost")
	}
	if err != nil {
		return err
	}
	w.now = w.now.Add(time.Second)
	whole := w.ctx
	w.ctx, p.end = context.WithCancel(whole)
	defer p.end()
	answered, err := e.asks(w, w.counter(p.wrap(api)), held.Secret)
	w.ctx = whole
	switch {
	case p.endless != nil:
		return p.endless
	case err != nil && !errors.Is(err, desk.ErrUnavailable):
		return fmt.Errorf("the answer is %w", err)
	case err == nil && e.ends && w.good(held.Secret):
		return errors.New("[3] revoked, it is good")
	case err == nil && !e.ends && !w.good(answered.Secret):
		return errors.New("[2] what was answered is dead")
	}
	return errors.Join(leader.lookAfter(), w.check())
}
