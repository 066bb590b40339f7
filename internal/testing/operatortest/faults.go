package operatortest

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// ErrCrash is the error of every call after the simulated crash.
var ErrCrash = errors.New("the operator has crashed")

// FaultMode describes what happens at the call that fails.
type FaultMode struct {
	Name      string
	IsApplied bool  // the write reaches the API server nevertheless
	Crashes   bool  // no later call is carried out
	Reads     bool  // a read can be that call too; otherwise only writes are counted, since a crash at a read equals one after a write
	Err       error // the error that the caller gets
}

// ErrInternal and its siblings are the errors of single calls.
var (
	ErrInternal      = apierrors.NewInternalError(errors.New("injected"))
	errConflict      = apierrors.NewConflict(corev1.Resource("objects"), "x", errors.New("injected"))
	errAlreadyExists = apierrors.NewAlreadyExists(corev1.Resource("objects"), "x")
	errTimeout       = apierrors.NewTimeoutError("injected", 1)
)

// FaultModes holds all the ways in which a call can fail.
var FaultModes = []FaultMode{
	{"crash before the write", false, true, false, ErrCrash},
	{"crash after the write", true, true, false, ErrCrash},
	{"an error", false, false, true, ErrInternal},
	{"a lost answer after the write", true, false, false, errTimeout},
	{"a conflict", false, false, false, errConflict},
	{"a repeated write answered by conflict", true, false, false, errConflict},
	{"a repeated creation answered by AlreadyExists", true, false, false, errAlreadyExists},
}

// Faults wraps the API server for one fixture. In each step the call number at fails in its mode,
// and after every write the invariants are checked.
type Faults struct {
	w          *Fixture
	At         int // from 1; 0: none fails
	mode       FaultMode
	calls      int // of this step
	Hits       int
	HasCrashed bool
	Verdict    error          // of the invariant checks
	Before     func(call int) // runs before each call, where set
}

// Faults returns an API server whose call number at fails; 0: none does.
func (w *Fixture) Faults(at int, m FaultMode) *Faults { return &Faults{w: w, At: at, mode: m} }

// BeginStep starts a step: calls are counted from zero.
func (f *Faults) BeginStep() { f.calls = 0 }

// Wrap returns a client over c that fails as f describes.
func (f *Faults) Wrap(c client.WithWatch) client.WithWatch {
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

func (f *Faults) nextCall() (fails bool) {
	f.calls++
	if f.Before != nil {
		f.Before(f.calls)
	}
	fails = f.calls == f.At
	if fails {
		f.Hits++
	}
	f.HasCrashed = f.HasCrashed || fails && f.mode.Crashes
	return fails
}

func (f *Faults) read(do func() error) error {
	if f.HasCrashed {
		return ErrCrash
	}
	if !f.mode.Reads && f.Before == nil {
		return do()
	}
	if f.nextCall() {
		return f.mode.Err
	}
	return do()
}

func (f *Faults) write(do func() error) error {
	if f.HasCrashed {
		return ErrCrash
	}
	fails := f.nextCall()
	if fails && !f.mode.IsApplied {
		return f.mode.Err
	}
	err := do()
	f.w.Writes.Add(1)
	f.Verdict = errors.Join(f.Verdict, f.w.CheckInvariants())
	if fails && err == nil {
		return f.mode.Err
	}
	return err
}
