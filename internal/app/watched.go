package app

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/apptoken/operator/internal/freshness"
)

const (
	// watchGrace is how long after its timeout the operator ends a connection of a watch that the
	// API server has not ended.
	watchGrace = 5 * time.Second
	// shortestWatch is the shortest timeout of a connection. In a shorter one, the bookmark could
	// come before confirm has brought the watch cache to a newer version.
	shortestWatch = 4 * time.Second
	// reconnectEvery is the pause between attempts to reach an API server that does not answer.
	// Informers alone would pause for up to a minute, in which a change goes unobserved.
	reconnectEvery = time.Second
	// streamRest is how long a connection that began with all objects lasts after the last of them.
	// Informers take a connection of less than a second for a failure.
	streamRest = 2 * time.Second
)

// watchTime returns the timeout of one connection of a watch. An API server sends a bookmark two
// seconds before it ends a connection, so the timeout bounds how long a lost watch goes undetected.
func watchTime(l freshness.Limits) time.Duration {
	return max(min(l.Lost/3, 20*time.Second).Truncate(time.Second), shortestWatch)
}

// reconnecting lists and watches, and retries every second while the API server does not answer.
type reconnecting struct {
	of   toolscache.ListerWatcherWithContext
	kind string
	log  logr.Logger
}

// IsWatchListSemanticsUnSupported reports whether the reflector must list instead of streaming the
// list as events.
func (r *reconnecting) IsWatchListSemanticsUnSupported() bool {
	of, ok := r.of.(interface{ IsWatchListSemanticsUnSupported() bool })
	return ok && of.IsWatchListSemanticsUnSupported()
}

// List implements ListerWatcher.
func (r *reconnecting) List(options metav1.ListOptions) (runtime.Object, error) {
	return r.ListWithContext(context.Background(), options)
}

// Watch implements ListerWatcher.
func (r *reconnecting) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return r.WatchWithContext(context.Background(), options)
}

// ListWithContext implements ListerWatcherWithContext.
func (r *reconnecting) ListWithContext(ctx context.Context, options metav1.ListOptions) (list runtime.Object, err error) {
	err = r.reach(ctx, unreachable, func() (err error) {
		list, err = r.of.ListWithContext(ctx, options)
		return err
	})
	return list, err
}

// WatchWithContext implements ListerWatcherWithContext.
func (r *reconnecting) WatchWithContext(ctx context.Context, options metav1.ListOptions) (stream watch.Interface, err error) {
	err = r.reach(ctx, unreachable, func() (err error) {
		stream, err = r.of.WatchWithContext(ctx, options)
		return err
	})
	return stream, err
}

// watched lists and watches, and records the evidence that the watch delivers.
type watched struct {
	*reconnecting

	list     toolscache.ListWithContextFunc // without pages, to list one object
	notes    *freshness.Watch
	lasts    time.Duration // timeout of one connection
	prompted bool          // a read of the newest version makes the API server send a bookmark
	now      func() time.Time
}

// List implements ListerWatcher.
func (w *watched) List(options metav1.ListOptions) (runtime.Object, error) {
	return w.ListWithContext(context.Background(), options)
}

// Watch implements ListerWatcher.
func (w *watched) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return w.WatchWithContext(context.Background(), options)
}

// ListWithContext implements ListerWatcherWithContext.
func (w *watched) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	var list runtime.Object
	begun := w.now()
	err := w.reach(ctx, unreachable, func() (err error) {
		begun = w.now()
		list, err = w.of.ListWithContext(ctx, options)
		return err
	})
	if err == nil {
		w.notes.Listed(begun)
	}
	return list, err
}

// WatchWithContext implements ListerWatcherWithContext. A watch that begins with all objects may
// need more time for these than the timeout of a connection. It ends soon after they are complete,
// and the next connection continues from there.
func (w *watched) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	streams := options.SendInitialEvents != nil && *options.SendInitialEvents
	var c *connection
	err := w.reach(ctx, passing, func() error {
		lasts := w.lasts
		if w.notes.Failing() {
			lasts = shortestWatch // so that it soon shows whether this connection delivers
		}
		if !streams {
			options.TimeoutSeconds = new(int64(lasts / time.Second))
		}
		within, cancel := context.WithCancel(ctx)
		silent := time.AfterFunc(lasts+watchGrace, cancel)
		begun := w.now()
		inner, err := w.of.WatchWithContext(within, options)
		if err != nil {
			silent.Stop()
			cancel()
			w.notes.Failed()
			return err
		}
		c = &connection{
			watched: w, inner: inner, within: within, cancel: cancel, silent: silent, streams: streams, lasts: lasts, begun: begun,
			out: make(chan watch.Event), stopped: make(chan struct{}),
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	w.notes.Connected()
	go c.forward()
	if !streams {
		go c.confirm(options.ResourceVersion)
	}
	return c, nil
}

// unreachable reports whether an error is not a response of the API server.
func unreachable(err error) bool {
	_, ok := errors.AsType[*apierrors.StatusError](err)
	return !ok
}

// passing reports whether the API server may accept the same watch a moment later. The informer
// handles other errors.
func passing(err error) bool {
	return unreachable(err) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsUnexpectedServerError(err)
}

// reach calls try until it succeeds, or fails with an error that is not transient. It logs the
// first transient error.
func (r *reconnecting) reach(ctx context.Context, passes func(error) bool, try func() error) error {
	for tries := 0; ; tries++ {
		err := try()
		if err == nil || !passes(err) || ctx.Err() != nil {
			return err
		}
		if tries == 0 {
			r.log.Error(err, "cannot list or watch; trying again every second", "kind", r.kind)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(reconnectEvery):
		}
	}
}

// connection is one connection of a watch.
type connection struct {
	*watched

	inner   watch.Interface
	within  context.Context //nolint:containedctx // ends the stream at the timeout
	cancel  context.CancelFunc
	silent  *time.Timer // cancels when the connection has lasted too long
	streams bool        // all objects come first
	lasts   time.Duration
	begun   time.Time
	out     chan watch.Event
	stopped chan struct{}
	newer   atomic.Bool // there is a newer version than the one at which the connection began
	over    atomic.Bool // ended by the operator, streamRest after the last initial object
}

// confirm reads the current resource version of the API server. If that is the version at which the
// connection began, the watch is up to date. Otherwise the read has brought the API server's watch
// cache to that version, if it was behind. The watch cache then has a newer version to send, so a
// bookmark comes although no object of the kind has changed.
func (c *connection) confirm(from string) {
	asked := c.now()
	list, err := c.list(c.within, metav1.ListOptions{Limit: 1})
	if err != nil {
		return
	}
	at, err := meta.ListAccessor(list)
	if err != nil {
		return
	}
	if at.GetResourceVersion() == from {
		c.notes.Delivered(asked, false)
		return
	}
	c.newer.Store(c.prompted)
}

// ResultChan implements watch.Interface.
func (c *connection) ResultChan() <-chan watch.Event { return c.out }

// Stop implements watch.Interface. The informer calls it once, from the goroutine that reads.
func (c *connection) Stop() {
	select {
	case <-c.stopped:
	default:
		close(c.stopped)
	}
	c.cancel()
	c.inner.Stop()
}

// versionOf returns the resource version of the object of an event.
func versionOf(e watch.Event) string {
	object, err := meta.Accessor(e.Object)
	if err != nil {
		return ""
	}
	return object.GetResourceVersion()
}

// forward forwards the events, and records the delivery of each.
func (c *connection) forward() {
	defer close(c.out)
	defer c.cancel()
	defer c.silent.Stop()
	// last is the version of the last event; a bookmark with another version proves more than
	// events do.
	last := ""
	for event := range c.inner.ResultChan() {
		version := versionOf(event) // before the informer changes the object
		c.streamed(event)
		if c.within.Err() != nil && event.Type == watch.Error { // the operator's own cancellation
			break
		}
		select {
		case <-c.stopped:
			return
		case c.out <- event:
		}
		if event.Type == watch.Error {
			c.notes.Failed()
			continue
		}
		c.notes.Delivered(c.now(), event.Type == watch.Bookmark && c.newer.Load() && version != last)
		last = version
	}
	select {
	case <-c.stopped:
		return
	default:
	}
	switch {
	case c.over.Load(): // the events that it delivered suffice
	case c.within.Err() == nil && c.now().Sub(c.begun) >= c.lasts-time.Second:
		c.notes.Ended(c.now())
	default:
		c.notes.Failed()
	}
}

// streamed restarts the timer of a connection that begins with all objects at each of them, and
// ends the connection soon after the last.
func (c *connection) streamed(event watch.Event) {
	if !c.streams {
		return
	}
	object, err := meta.Accessor(event.Object)
	if err == nil && event.Type == watch.Bookmark && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
		c.streams = false
		c.silent.Stop()
		c.silent = time.AfterFunc(streamRest, func() {
			c.over.Store(true)
			c.cancel()
		})
		return
	}
	c.silent.Reset(c.lasts + watchGrace)
}
