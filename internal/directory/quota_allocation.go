package directory

import (
	"sync/atomic"
	"time"

	toolscache "k8s.io/client-go/tools/cache"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/quota"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Quota counts the tokens of every client, on every replica, as the watch on ApplicationTokens
// reports them. The elected replica gives quota that becomes free to the oldest token that waits
// for it.
type Quota struct {
	// Synced reports whether the watch has reported every token of the initial list. Nil means that
	// there is no watch.
	Synced func() bool
	Index  quota.Index

	OwnNamespace string                    // the operator's namespace
	elected      atomic.Pointer[allocator] // nil: this replica is not elected
}

// allocator holds what the elected replica adds.
type allocator struct {
	limits  func(client string, namespaces []string) (quota.Limits, bool)
	enqueue func([]quota.Key)
}

// NewQuota returns the Quota of an operator in that namespace.
func NewQuota(namespace string) *Quota { return &Quota{OwnNamespace: namespace} }

// EventHandler returns the event handler of a watch on ApplicationTokens.
func (q *Quota) EventHandler() toolscache.ResourceEventHandler {
	set := func(obj any) {
		if at, ok := obj.(*v1alpha1.ApplicationToken); ok {
			q.Allocate(q.Index.Observe(QuotaKey(at), tokenspec.QuotaObservation(at, q.OwnNamespace))...)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if at, ok := lastKnownState(obj).(*v1alpha1.ApplicationToken); ok {
				q.Forget(at)
			}
		},
	}
}

// Allocate gives the free quota of clients to tokens that wait for it, and enqueues these tokens.
// It does so only on the elected replica.
func (q *Quota) Allocate(clients ...string) {
	a := q.elected.Load()
	if a == nil {
		return
	}
	for _, name := range clients {
		waiting := q.Index.Waiting(name)
		if len(waiting) == 0 {
			continue
		}
		if limits, known := a.limits(name, waiting); known {
			a.enqueue(q.Index.Allocate(name, limits))
		}
	}
}

// Reserve decides whether a token gets quota at its client. Tokens that come before it get quota
// first, and are enqueued.
func (q *Quota) Reserve(at *v1alpha1.ApplicationToken, c quota.Claim, limits quota.Limits, now time.Time) quota.Verdict {
	verdict, given := q.Index.Reserve(quota.Request{Token: QuotaKey(at), Claim: c, Created: at.CreationTimestamp.Time}, limits, now)
	if a := q.elected.Load(); a != nil {
		a.enqueue(given)
	}
	return verdict
}

// Elect has this replica allocate each reservation that becomes free to the oldest waiting token,
// and enqueue that token. limits returns the limits of a client, and false where they are not
// known.
func (q *Quota) Elect(limits func(client string, namespaces []string) (quota.Limits, bool), enqueue func([]quota.Key)) {
	q.elected.Store(&allocator{limits: limits, enqueue: enqueue})
}

// StopAllocation stops allocation once the reconcilers of the elected replica have ended. The
// replica may be elected again.
func (q *Quota) StopAllocation() {
	q.elected.Store(nil)
	q.Index.Abandon()
}

// Release returns the reservation that a token was given and does not use.
func (q *Quota) Release(at *v1alpha1.ApplicationToken) {
	q.Allocate(q.Index.Release(QuotaKey(at), tokenspec.QuotaObservation(at, q.OwnNamespace))...)
}

// Forget removes a token that is gone.
func (q *Quota) Forget(at *v1alpha1.ApplicationToken) {
	q.Allocate(q.Index.Forget(QuotaKey(at))...)
}

// QuotaKey returns the key of a token in a quota.Index.
func QuotaKey(at *v1alpha1.ApplicationToken) quota.Key {
	return quota.Key{Namespace: at.Namespace, Name: at.Name}
}
