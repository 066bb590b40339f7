package informer

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
	// minWatchTimeout is the shortest timeout of a connection. In a shorter one, the bookmark could
	// come before confirm has brought the watch cache to a newer version.
	minWatchTimeout = 4 * time.Second
	// reconnectInterval is the pause between attempts to reach an API server that does not answer.
	// Informers alone would pause for up to a minute, in which a change goes unobserved.
	reconnectInterval = time.Second
	// streamCloseDelay is how long a connection that began with all objects lasts after the last of
	// them. Informers take a connection of less than a second for a failure.
	streamCloseDelay = 2 * time.Second
)

// watchTimeoutOf returns the timeout of one connection of a watch. An API server sends a bookmark
// two seconds before it ends a connection, so the timeout bounds how long a lost watch goes
// undetected.
func watchTimeoutOf(l freshness.Limits) time.Duration {
	return max(min(l.Lost/3, 20*time.Second).Truncate(time.Second), minWatchTimeout)
}

// reconnectingListWatch lists and watches, and retries every second while the API server does not
// answer.
type reconnectingListWatch struct {
	source toolscache.ListerWatcherWithContext
	kind   string
	log    logr.Logger
}

// IsWatchListSemanticsUnSupported reports whether the reflector must list instead of streaming the
// list as events.
func (r *reconnectingListWatch) IsWatchListSemanticsUnSupported() bool {
	of, ok := r.source.(interface{ IsWatchListSemanticsUnSupported() bool })
	return ok && of.IsWatchListSemanticsUnSupported()
}

// List implements ListerWatcher.
func (r *reconnectingListWatch) List(options metav1.ListOptions) (runtime.Object, error) {
	return r.ListWithContext(context.Background(), options)
}

// Watch implements ListerWatcher.
func (r *reconnectingListWatch) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return r.WatchWithContext(context.Background(), options)
}

// ListWithContext implements ListerWatcherWithContext.
func (r *reconnectingListWatch) ListWithContext(ctx context.Context, options metav1.ListOptions) (list runtime.Object, err error) {
	err = r.retry(ctx, isUnreachable, func() (err error) {
		list, err = r.source.ListWithContext(ctx, options)
		return err
	})
	return list, err
}

// WatchWithContext implements ListerWatcherWithContext.
func (r *reconnectingListWatch) WatchWithContext(ctx context.Context, options metav1.ListOptions) (stream watch.Interface, err error) {
	err = r.retry(ctx, isUnreachable, func() (err error) {
		stream, err = r.source.WatchWithContext(ctx, options)
		return err
	})
	return stream, err
}

// monitoredListWatch lists and watches, and records the evidence that the watch delivers.
type monitoredListWatch struct {
	*reconnectingListWatch

	unpagedList          toolscache.ListWithContextFunc // without pages, to list one object
	evidence             *freshness.Watch
	timeout              time.Duration // timeout of one connection
	readsPromptBookmarks bool          // a read of the newest version makes the API server send a bookmark
	now                  func() time.Time
}

// List implements ListerWatcher.
func (w *monitoredListWatch) List(options metav1.ListOptions) (runtime.Object, error) {
	return w.ListWithContext(context.Background(), options)
}

// Watch implements ListerWatcher.
func (w *monitoredListWatch) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return w.WatchWithContext(context.Background(), options)
}

// ListWithContext implements ListerWatcherWithContext.
func (w *monitoredListWatch) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	var list runtime.Object
	begun := w.now()
	err := w.retry(ctx, isUnreachable, func() (err error) {
		begun = w.now()
		list, err = w.source.ListWithContext(ctx, options)
		return err
	})
	if err == nil {
		w.evidence.Listed(begun)
	}
	return list, err
}

// WatchWithContext implements ListerWatcherWithContext. A watch that begins with all objects may
// need more time for these than the timeout of a connection. It ends soon after they are complete,
// and the next connection continues from there.
func (w *monitoredListWatch) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	streams := options.SendInitialEvents != nil && *options.SendInitialEvents
	var c *watchConnection
	err := w.retry(ctx, isTransient, func() error {
		lasts := w.timeout
		if w.evidence.Failing() {
			lasts = minWatchTimeout // so that it soon shows whether this connection delivers
		}
		if !streams {
			options.TimeoutSeconds = new(int64(lasts / time.Second))
		}
		within, cancel := context.WithCancel(ctx)
		silent := time.AfterFunc(lasts+watchGrace, cancel)
		begun := w.now()
		inner, err := w.source.WatchWithContext(within, options)
		if err != nil {
			silent.Stop()
			cancel()
			w.evidence.Failed()
			return err
		}
		c = &watchConnection{
			monitoredListWatch: w, inner: inner, ctx: within, cancel: cancel, timer: silent, sendsInitialEvents: streams, timeout: lasts, begun: begun,
			out: make(chan watch.Event), stopped: make(chan struct{}),
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	w.evidence.Connected()
	go c.forward()
	if !streams {
		go c.confirm(options.ResourceVersion)
	}
	return c, nil
}

// isUnreachable reports whether an error is not a response of the API server.
func isUnreachable(err error) bool {
	_, ok := errors.AsType[*apierrors.StatusError](err)
	return !ok
}

// isTransient reports whether the API server may accept the same watch a moment later. The informer
// handles other errors.
func isTransient(err error) bool {
	return isUnreachable(err) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsUnexpectedServerError(err)
}

// retry calls try until it succeeds, or fails with an error that is not transient. It logs the
// first transient error.
func (r *reconnectingListWatch) retry(ctx context.Context, passes func(error) bool, try func() error) error {
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
		case <-time.After(reconnectInterval):
		}
	}
}

// watchConnection is one connection of a watch.
type watchConnection struct {
	*monitoredListWatch

	inner              watch.Interface
	ctx                context.Context //nolint:containedctx // ends the stream at the timeout
	cancel             context.CancelFunc
	timer              *time.Timer // cancels when the connection has lasted too long
	sendsInitialEvents bool        // all objects come first
	timeout            time.Duration
	begun              time.Time
	out                chan watch.Event
	stopped            chan struct{}
	hasNewer           atomic.Bool // there is a newer version than the one at which the connection began
	isOver             atomic.Bool // ended by the operator, streamCloseDelay after the last initial object
}

// confirm reads the current resource version of the API server. If that is the version at which the
// connection began, the watch is up to date. Otherwise the read has brought the API server's watch
// cache to that version, if it was behind. The watch cache then has a newer version to send, so a
// bookmark comes although no object of the kind has changed.
func (c *watchConnection) confirm(from string) {
	asked := c.now()
	list, err := c.unpagedList(c.ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return
	}
	at, err := meta.ListAccessor(list)
	if err != nil {
		return
	}
	if at.GetResourceVersion() == from {
		c.evidence.Delivered(asked, false)
		return
	}
	c.hasNewer.Store(c.readsPromptBookmarks)
}

// ResultChan implements watch.Interface.
func (c *watchConnection) ResultChan() <-chan watch.Event { return c.out }

// Stop implements watch.Interface. The informer calls it once, from the goroutine that reads.
func (c *watchConnection) Stop() {
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
func (c *watchConnection) forward() {
	defer close(c.out)
	defer c.cancel()
	defer c.timer.Stop()
	// last is the version of the last event; a bookmark with another version proves more than
	// events do.
	last := ""
	for event := range c.inner.ResultChan() {
		version := versionOf(event) // before the informer changes the object
		c.observeInitialEvents(event)
		if c.ctx.Err() != nil && event.Type == watch.Error { // the operator's own cancellation
			break
		}
		select {
		case <-c.stopped:
			return
		case c.out <- event:
		}
		if event.Type == watch.Error {
			c.evidence.Failed()
			continue
		}
		c.evidence.Delivered(c.now(), event.Type == watch.Bookmark && c.hasNewer.Load() && version != last)
		last = version
	}
	select {
	case <-c.stopped:
		return
	default:
	}
	switch {
	case c.isOver.Load(): // the events that it delivered suffice
	case c.ctx.Err() == nil && c.now().Sub(c.begun) >= c.timeout-time.Second:
		c.evidence.Ended(c.now())
	default:
		c.evidence.Failed()
	}
}

// observeInitialEvents restarts the timer of a connection that begins with all objects at each of
// them, and ends the connection soon after the last.
func (c *watchConnection) observeInitialEvents(event watch.Event) {
	if !c.sendsInitialEvents {
		return
	}
	object, err := meta.Accessor(event.Object)
	if err == nil && event.Type == watch.Bookmark && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
		c.sendsInitialEvents = false
		c.timer.Stop()
		c.timer = time.AfterFunc(streamCloseDelay, func() {
			c.isOver.Store(true)
			c.cancel()
		})
		return
	}
	c.timer.Reset(c.timeout + watchGrace)
}
