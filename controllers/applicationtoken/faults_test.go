package applicationtoken_test

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// errCrash is the error of every call after the simulated crash.
var errCrash = errors.New("the operator has crashed")

// faultMode describes what happens at the call that fails.
type faultMode struct {
	name      string
	isApplied bool  // the write reaches the API server nevertheless
	crashes   bool  // no later call is carried out
	reads     bool  // a read can be that call too; otherwise only writes are counted, since a crash at a read equals one after a write
	err       error // the error that the caller gets
}

var (
	errInternal      = apierrors.NewInternalError(errors.New("injected"))
	errConflict      = apierrors.NewConflict(corev1.Resource("objects"), "x", errors.New("injected"))
	errAlreadyExists = apierrors.NewAlreadyExists(corev1.Resource("objects"), "x")
	errTimeout       = apierrors.NewTimeoutError("injected", 1)
)

var faultModes = []faultMode{
	{"crash before the write", false, true, false, errCrash},
	{"crash after the write", true, true, false, errCrash},
	{"an error", false, false, true, errInternal},
	{"a lost answer after the write", true, false, false, errTimeout},
	{"a conflict", false, false, false, errConflict},
	{"a repeated write answered by conflict", true, false, false, errConflict},
	{"a repeated creation answered by AlreadyExists", true, false, false, errAlreadyExists},
}

// faults wraps the API server for one fixture. In each step the call number at fails in its mode,
// and after every write the invariants are checked.
type faults struct {
	w          *fixture
	at         int // from 1; 0: none fails
	mode       faultMode
	calls      int // of this step
	hits       int
	hasCrashed bool
	verdict    error          // of the invariant checks
	before     func(call int) // runs before each call, where set
}

func (w *fixture) faults(at int, m faultMode) *faults { return &faults{w: w, at: at, mode: m} }

// beginStep starts a step: calls are counted from zero.
func (f *faults) beginStep() { f.calls = 0 }

func (f *faults) wrap(c client.WithWatch) client.WithWatch {
	return interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			return f.read(func() error { return c.Get(ctx, key, obj, o...) })
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			return f.read(func() error { return c.List(ctx, list, o...) })
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.CreateOption) error {
			return f.write(func() error { return c.Create(ctx, obj, o...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.UpdateOption) error {
			return f.write(func() error { return c.Update(ctx, obj, o...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, p client.Patch, o ...client.PatchOption) error {
			return f.write(func() error { return c.Patch(ctx, obj, p, o...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			return f.write(func() error { return c.Delete(ctx, obj, o...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, o ...client.SubResourceUpdateOption) error {
			return f.write(func() error { return c.SubResource(sub).Update(ctx, obj, o...) })
		},
	})
}

func (f *faults) nextCall() (fails bool) {
	f.calls++
	if f.before != nil {
		f.before(f.calls)
	}
	fails = f.calls == f.at
	if fails {
		f.hits++
	}
	f.hasCrashed = f.hasCrashed || fails && f.mode.crashes
	return fails
}

func (f *faults) read(do func() error) error {
	if f.hasCrashed {
		return errCrash
	}
	if !f.mode.reads && f.before == nil {
		return do()
	}
	if f.nextCall() {
		return f.mode.err
	}
	return do()
}

func (f *faults) write(do func() error) error {
	if f.hasCrashed {
		return errCrash
	}
	fails := f.nextCall()
	if fails && !f.mode.isApplied {
		return f.mode.err
	}
	err := do()
	f.w.writes.Add(1)
	f.verdict = errors.Join(f.verdict, f.w.checkInvariants())
	if fails && err == nil {
		return f.mode.err
	}
	return err
}
