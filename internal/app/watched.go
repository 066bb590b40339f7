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
	// watchGrace is how much later than its time a connection of a watch is cut here, if the API server has not ended it.
	watchGrace = 5 * time.Second
	// shortestWatch is the least time of a connection. In less, the bookmark could come before confirm has made something to tell.
	shortestWatch = 4 * time.Second
	// reconnectEvery is the pause between attempts to reach an API server that does not answer. Informers wait for up to a
	// minute, in which a change stays unseen.
	reconnectEvery = time.Second
	// streamRest is how long a connection that began with all objects lasts after the last of them. Informers take less than a
	// second for a failure.
	streamRest = 2 * time.Second
)

// watchTime returns how long one connection of a watch may last. An API server sends a bookmark two seconds before it ends a
// connection, so that the time bounds how long a watch can be lost unnoticed.
func watchTime(l freshness.Limits) time.Duration {
	return max(min(l.Lost/3, 20*time.Second).Truncate(time.Second), shortestWatch)
}

// reconnecting lists and watches, and tries again every second while the API server does not answer.
type reconnecting struct {
	of   toolscache.ListerWatcherWithContext
	kind string
	log  logr.Logger
}

// IsWatchListSemanticsUnSupported reports whether lists are to come as lists and not as streams of events.
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

// watched lists and watches, and notes what shows that the watch delivers.
type watched struct {
	*reconnecting

	list     toolscache.ListWithContextFunc // as the API server answers, for a look at one object
	notes    *freshness.Watch
	lasts    time.Duration // one connection
	prompted bool          // a read from the newest version brings the API server to send a bookmark
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

// WatchWithContext implements ListerWatcherWithContext. A watch that begins with all objects may take longer for these than a
// connection lasts: it ends soon after they are complete, and the next one goes on from there.
func (w *watched) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	streams := options.SendInitialEvents != nil && *options.SendInitialEvents
	var c *connection
	err := w.reach(ctx, passing, func() error {
		lasts := w.lasts
		if w.notes.Failing() {
			lasts = shortestWatch // so that it soon shows whether this one delivers
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

// unreachable reports whether an error is none of the API server's own.
func unreachable(err error) bool {
	_, ok := errors.AsType[*apierrors.StatusError](err)
	return !ok
}

// passing reports whether the same watch may be accepted a moment later. Of other errors the informer knows what to do.
func passing(err error) bool {
	return unreachable(err) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsUnexpectedServerError(err)
}

// reach tries until there is no error, or one that does not pass. The first that passes is logged.
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
	within  context.Context //nolint:containedctx // of the connection itself: it ends the stream when the time is over
	cancel  context.CancelFunc
	silent  *time.Timer // cancels when the connection has lasted too long
	streams bool        // all objects come first
	lasts   time.Duration
	begun   time.Time
	out     chan watch.Event
	stopped chan struct{}
	newer   atomic.Bool // there is a newer version than the one at which the connection began
	over    atomic.Bool // we have ended the connection, since its time was over
}

// confirm reads at which version the API server is. Where that is the one at which the connection began, the watch is up to date.
// Else the read has brought the API server's own cache to that version, if it was behind: so there is something to tell, and a
// bookmark comes although nothing of the kind has changed.
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

// forward hands the events on, and notes each that was taken.
func (c *connection) forward() {
	defer close(c.out)
	defer c.cancel()
	defer c.silent.Stop()
	last := "" // version of the last event; a bookmark of another tells more than events do
	for event := range c.inner.ResultChan() {
		version := versionOf(event) // before the informer changes the object
		c.streamed(event)
		if c.within.Err() != nil && event.Type == watch.Error { // of our own making
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
	case c.over.Load(): // what it has delivered says enough
	case c.within.Err() == nil && c.now().Sub(c.begun) >= c.lasts-time.Second:
		c.notes.Ended(c.now())
	default:
		c.notes.Failed()
	}
}

// streamed gives a connection that begins with all objects the time for the next of them, and ends it soon after the last.
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
