package controllers

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/quota"
)

// Limits of a client whose policy sets none.
const (
	defaultMaxCount        = 10_000
	defaultMaxCountPerUser = 100
)

// Quota counts the tokens of every client, on every replica, as the watch on ApplicationTokens
// reports them. The elected replica gives quota that becomes free to the oldest token that waits
// for it.
type Quota struct {
	Synced func() bool // reports whether the watch has reported every token of the initial list; nil: there is no watch

	own     string // the operator's namespace
	index   quota.Index
	elected atomic.Pointer[allocator]
}

// allocator holds what the elected replica adds.
type allocator struct {
	limits func(client string, namespaces []string) (quota.Limits, bool)
	wake   func([]quota.Key)
}

// NewQuota returns the Quota of an operator in that namespace.
func NewQuota(namespace string) *Quota { return &Quota{own: namespace} }

// Feed returns the event handler of a watch on ApplicationTokens.
func (q *Quota) Feed() toolscache.ResourceEventHandler {
	set := func(obj any) {
		if at, ok := obj.(*v1alpha1.ApplicationToken); ok {
			q.allocate(q.index.Observe(quotaKey(at), observation(at, q.own))...)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if at, ok := last(obj).(*v1alpha1.ApplicationToken); ok {
				q.forget(at)
			}
		},
	}
}

// allocate gives the free quota of clients to tokens that wait for it, and enqueues these tokens.
// It does so only on the elected replica.
func (q *Quota) allocate(clients ...string) {
	a := q.elected.Load()
	if a == nil {
		return
	}
	for _, name := range clients {
		waiting := q.index.Waiting(name)
		if len(waiting) == 0 {
			continue
		}
		if limits, known := a.limits(name, waiting); known {
			a.wake(q.index.Allocate(name, limits))
		}
	}
}

// reserve decides whether a token gets quota at its client. Tokens that come before it get quota
// first, and are enqueued.
func (q *Quota) reserve(at *v1alpha1.ApplicationToken, c quota.Claim, limits quota.Limits, now time.Time) quota.Verdict {
	verdict, given := q.index.Reserve(quotaKey(at), c, at.CreationTimestamp.Time, limits, now)
	if a := q.elected.Load(); a != nil {
		a.wake(given)
	}
	return verdict
}

// Elect has this replica allocate each reservation that becomes free to the oldest waiting token,
// and wake that token. limits returns the limits of a client, and false where they are not known.
func (q *Quota) Elect(limits func(client string, namespaces []string) (quota.Limits, bool), wake func([]quota.Key)) {
	q.elected.Store(&allocator{limits: limits, wake: wake})
}

// EndTerm stops allocation once the reconcilers of the elected replica have ended. The replica may
// be elected again.
func (q *Quota) EndTerm() {
	q.elected.Store(nil)
	q.index.Abandon()
}

// release returns the reservation that a token was given and does not use.
func (q *Quota) release(at *v1alpha1.ApplicationToken) {
	q.allocate(q.index.Release(quotaKey(at), observation(at, q.own))...)
}

// forget removes a token that is gone.
func (q *Quota) forget(at *v1alpha1.ApplicationToken) {
	q.allocate(q.index.Forget(quotaKey(at))...)
}

func quotaKey(at *v1alpha1.ApplicationToken) quota.Key {
	return quota.Key{Namespace: at.Namespace, Name: at.Name}
}

// claimOf returns what a token counts for at a client. Tokens that are made over HTTP are all in
// the operator's own namespace, to which nothing is granted.
func claimOf(at *v1alpha1.ApplicationToken, own, client, user string) quota.Claim {
	c := quota.Claim{Client: client, Namespace: at.Namespace, User: user}
	if byAnswer(at, own) {
		c.Namespace = ""
	}
	return c
}

// observation returns what a token shows about its quota.
func observation(at *v1alpha1.ApplicationToken, own string) quota.Observation {
	o := quota.Observation{Created: at.CreationTimestamp.Time}
	if counted(at, own) {
		o.Holds = claimOf(at, own, at.Status.Client, servedUser(at))
	}
	wants := claimOf(at, own, clientOf(at), userOf(at))
	if wants == o.Holds || wants.Client == "" || !at.DeletionTimestamp.IsZero() || at.Spec.State == v1alpha1.TokenRevoked {
		return o
	}
	evaluated := at.Status.ObservedGeneration == at.Generation
	switch {
	case evaluated && awaitsQuota(at), byAnswer(at, own) && at.Status.ObservedGeneration == 0:
		o.Wants = wants
	case at.Spec.State != v1alpha1.TokenActive:
	case !evaluated, !meta.IsStatusConditionTrue(at.Status.Conditions, v1alpha1.ConditionStalled):
		o.Wants, o.Unevaluated = wants, true
	}
	return o
}

// counted reports whether a token counts against the quota of the client and the user that its
// status names. It does if it was issued, or is made over HTTP and was evaluated, and is not
// withheld.
func counted(at *v1alpha1.ApplicationToken, own string) bool {
	return withheldBy(at) == nil && (hasVersion(at) || byAnswer(at, own) && at.Status.ObservedGeneration > 0)
}

// hasVersion reports whether a token was issued, and a version of it is still valid.
func hasVersion(at *v1alpha1.ApplicationToken) bool {
	return at.Status.Current != nil || len(at.Status.Predecessors) > 0
}

// withheldBy returns why a token is withheld; nil: it is not.
func withheldBy(at *v1alpha1.ApplicationToken) *plan.Refusal {
	c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionWithheld)
	if c == nil || c.Status != metav1.ConditionTrue {
		return nil
	}
	return &plan.Refusal{Reason: c.Reason, Message: c.Message}
}

func awaitsQuota(at *v1alpha1.ApplicationToken) bool {
	w := withheldBy(at)
	return w != nil && w.Reason == v1alpha1.ReasonTooManyTokens || reasonOf(at) == v1alpha1.ReasonTooManyTokens
}

// servedUser returns the user for whom the versions of a token act. Statuses of former releases do
// not name the user.
func servedUser(at *v1alpha1.ApplicationToken) string {
	if at.Status.User == "" && at.Status.ObservedGeneration == at.Generation {
		return userOf(at)
	}
	return at.Status.User
}

// limits returns the limits of a client, for some namespaces.
func (l Lookout) Limits(ctx context.Context, c *v1alpha1.Client, namespaces ...string) (quota.Limits, error) {
	limits := quota.Limits{Client: defaultMaxCount, User: defaultMaxCountPerUser}
	if n := c.Spec.Tokens.MaxCount; n != nil {
		limits.Client = int(*n)
	}
	if n := c.Spec.Tokens.MaxCountPerUser; n != nil {
		limits.User = int(*n)
	}
	limited, selects := false, false
	for _, g := range c.Spec.Grants {
		limited = limited || g.MaxCount != nil
		selects = selects || g.MaxCount != nil && g.Namespaces.Selector != nil
	}
	if !limited {
		return limits, nil
	}
	limits.Namespaces = map[string]int{}
	for _, name := range namespaces {
		var labels map[string]string
		if selects && name != "" {
			var err error
			if labels, err = l.namespaceLabels(ctx, name); err != nil {
				if apierrors.IsNotFound(err) {
					continue // the namespace is being deleted, and so are its tokens
				}
				return limits, err
			}
		}
		limits.Namespaces[name] = maxCountOf(c, name, labels)
	}
	return limits, nil
}

// maxCountOf returns the largest limit among the grants that select a namespace. A grant without a
// limit does not lift the limit of another.
func maxCountOf(c *v1alpha1.Client, namespace string, nsLabels map[string]string) int {
	largest := -1
	for _, g := range c.Spec.Grants {
		if g.MaxCount != nil && selects(g.Namespaces, namespace, nsLabels) {
			largest = max(largest, int(*g.MaxCount))
		}
	}
	if largest < 0 {
		return math.MaxInt
	}
	return largest
}

// cachedLimits returns the limits of a client by its name, and reports whether they are known now.
func (r *ApplicationTokens) cachedLimits(name string, namespaces []string) (quota.Limits, bool) {
	ctx := context.Background() // reads only from caches that are there
	var c v1alpha1.Client
	if err := r.Client.Get(ctx, types.NamespacedName{Name: name}, &c, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		return quota.Limits{}, false
	}
	limits, err := Lookout{Client: r.Client, Live: r.Live, Records: r.Records}.Limits(ctx, &c, namespaces...)
	return limits, err == nil
}

// hasRecordedPlace reports whether the record of the current version shows that a token counts
// against the quota: it is not suspended, and is of the same client and user. The status, or a
// field of it, can be lost. Without this check, another token would take the quota, and this one
// would stop working.
func hasRecordedPlace(w wish, s seen) bool {
	c := s.Current
	return !w.Answered && c != nil && !c.Grants.Suspended && c.Grants.Client == w.asked.client && c.Grants.User == w.asked.user
}

// overQuota converts a verdict into a Refusal.
func overQuota(c quota.Claim, v quota.Verdict) *plan.Refusal {
	whose, field := "", "spec.tokens.maxCount"
	switch v.Scope {
	case quota.OfNamespace:
		whose, field = " of namespace "+c.Namespace, "maxCount in spec.grants"
	case quota.OfUser:
		whose, field = " of user "+c.User, "spec.tokens.maxCountPerUser"
	case quota.OfClient:
	}
	return &plan.Refusal{
		Reason: v1alpha1.ReasonTooManyTokens,
		Message: fmt.Sprintf("Client %s serves at most %d tokens%s and %d come before this one; delete some, or ask its platform team to raise %s",
			c.Client, v.Limit, whose, v.Before, field),
	}
}

// evaluate decides whether a token gets quota. It does so if nothing else stands in its way, if the
// token has versions already, or if it is delivered in responses: without quota, versions are
// rejected. It returns the desired state that follows.
func (r *ApplicationTokens) evaluate(ctx context.Context, at *v1alpha1.ApplicationToken, around surroundings, w wish, s seen) (wish, error) {
	own := r.Quota.own
	versions := s.Current != nil || len(s.Others) > 0
	if w.Grants == nil { // the versions stay as they are, and count where they did
		w.counted = counted(at, own)
		return w, nil
	}
	same := at.Status.Client == w.asked.client && servedUser(at) == w.asked.user
	w.counted = w.entitled && (same && counted(at, own) || hasRecordedPlace(w, s))
	needed := w.Answered || versions || w.Refused.Reason == "" && w.State == plan.Active
	if w.counted || !needed || !w.entitled || around.client == nil || w.State == plan.Revoked {
		return w, nil
	}
	claim := claimOf(at, own, w.asked.client, w.asked.user)
	limits, err := Lookout{Client: r.Client, Live: r.Live, Records: r.Records}.Limits(ctx, around.client, append(r.Quota.index.Waiting(claim.Client), at.Namespace)...)
	if err != nil {
		return w, err
	}
	verdict := r.Quota.reserve(at, claim, limits, r.Now())
	if !verdict.Granted {
		around.quota = overQuota(claim, verdict)
		w = understand(at, around)
	}
	w.counted = verdict.Granted
	return w, nil
}
