package management_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

// deadlineAtCall ends at a call: from then on the API server does not respond, and the caller waits
// no longer.
type deadlineAtCall struct {
	at, calls    int
	end          context.CancelFunc
	unboundedErr error // set by a call that would have waited forever
}

func (p *deadlineAtCall) call(ctx context.Context, do func() error) error {
	if p.calls++; p.calls < p.at {
		return do()
	}
	p.end()
	if ctx.Done() == nil {
		p.unboundedErr = fmt.Errorf("call %d has no end", p.calls)
		return operatortest.ErrCrash
	}
	<-ctx.Done()
	return ctx.Err()
}

func (p *deadlineAtCall) wrap(c client.WithWatch) client.WithWatch {
	return interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			return p.call(ctx, func() error { return c.Get(ctx, key, obj, o...) })
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			return p.call(ctx, func() error { return c.List(ctx, list, o...) })
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.CreateOption) error {
			return p.call(ctx, func() error { return c.Create(ctx, obj, o...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, change client.Patch, o ...client.PatchOption) error {
			return p.call(ctx, func() error { return c.Patch(ctx, obj, change, o...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			return p.call(ctx, func() error { return c.Delete(ctx, obj, o...) })
		},
	})
}

// The reconciler and garbage collection do what is left when the caller stops waiting (row 12).
func TestManage_NoCallOutlastsDeadlineOfCaller(t *testing.T) {
	asks := append([]managementCall{
		{name: "rotate what was not received", before: 1, send: func(w *fixture, k *operatortest.ManagementReplica, _ token.Token) (management.Issued, error) {
			return k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "lost")
		}},
		{name: "change", send: func(w *fixture, k *operatortest.ManagementReplica, held token.Token) (management.Issued, error) {
			t, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{Roles: new([]string{"second"})})
			return management.Issued{Token: t, Secret: held}, err
		}},
	}, managementCalls...)
	var points atomic.Int64
	t.Cleanup(func() { t.Logf("patience ended at %d points", points.Load()) })
	for _, e := range asks {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newFixture(t)
				p := &deadlineAtCall{at: at}
				if err := e.runWithDeadline(w, p); err != nil {
					t.Fatalf("at call %d: %v", at, err)
				}
				if hit = p.calls >= at; hit {
					points.Add(1)
				}
			}
		})
	}
}

// runWithDeadline sends the request once, and stops waiting when patience ends.
func (e managementCall) runWithDeadline(w *fixture, p *deadlineAtCall) error {
	sound, leader := w.NewManagementReplica(api), w.NewOperator(api, api)
	var held management.Issued
	var err error
	if e.name == "clone" {
		err = errors.Join(w.DeclareToken(), leader.Settle())
	}
	if !e.fresh && err == nil {
		held, err = sound.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	}
	if e.name == "rotate what was not received" && err == nil {
		_, err = sound.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "lost")
	}
	if err != nil {
		return err
	}
	w.Now = w.Now.Add(time.Second)
	whole := w.Ctx
	w.Ctx, p.end = context.WithCancel(whole)
	defer p.end()
	answered, err := e.send(w, w.NewManagementReplica(p.wrap(api)), held.Secret)
	w.Ctx = whole
	switch {
	case p.unboundedErr != nil:
		return p.unboundedErr
	case err != nil && !errors.Is(err, management.ErrUnavailable):
		return fmt.Errorf("the answer is %w", err)
	case err == nil && e.ends && w.IsAccepted(held.Secret):
		return errors.New("[3] revoked, it is good")
	case err == nil && !e.ends && !w.IsAccepted(answered.Secret):
		return errors.New("[2] what was answered is dead")
	}
	return errors.Join(leader.SettleOwnNamespace(), w.CheckInvariants())
}
