package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/quota"
)

// elected is a Quota of the elected replica, and whom it has woken.
type elected struct {
	*controllers.Quota
	woken []string
}

func electedAt(limits quota.Limits) *elected {
	e := &elected{Quota: controllers.NewQuota("own")}
	controllers.Elect(e.Quota, limits, func(keys []quota.Key) {
		for _, k := range keys {
			e.woken = append(e.woken, k.Name)
		}
	})
	return e
}

// tokenAt is a token of Client acme whose last pass ended with that reason; empty: it was issued.
func tokenAt(n int, reason string) *v1alpha1.ApplicationToken {
	at := &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("t-%02d", n), Generation: 1, CreationTimestamp: metav1.Unix(int64(n), 0)},
		Spec:       v1alpha1.ApplicationTokenSpec{ClientRef: &v1alpha1.Reference{Name: "acme"}, State: v1alpha1.TokenActive},
		Status:     v1alpha1.ApplicationTokenStatus{ObservedGeneration: 1, Client: "acme"},
	}
	if reason == "" {
		at.Status.Current = &v1alpha1.CurrentVersion{Record: "r"}
		return at
	}
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionStalled, v1alpha1.ConditionWithheld} {
		c := metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason}
		if kind == v1alpha1.ConditionReady {
			c.Status = metav1.ConditionFalse
		}
		at.Status.Conditions = append(at.Status.Conditions, c)
	}
	return at
}

func TestQuota_DeletionWakesAsManyAsPlacesCameFree(t *testing.T) {
	for deleted := range 5 {
		q := electedAt(quota.Limits{Client: 4})
		feed := q.Feed()
		for n := range 20 {
			reason := ""
			if n >= 4 {
				reason = v1alpha1.ReasonTooManyTokens
			}
			feed.OnAdd(tokenAt(n, reason), true)
		}
		for n := range deleted {
			feed.OnDelete(tokenAt(n, ""))
		}
		want := []string{"t-04", "t-05", "t-06", "t-07"}[:deleted]
		if !slices.Equal(q.woken, want) {
			t.Errorf("%d deleted: woken %v, want %v", deleted, q.woken, want)
		}
	}
}

func TestQuota_TokenWithoutPlaceWakesNobody(t *testing.T) {
	for reason, twist := range map[string]func(*v1alpha1.ApplicationToken){
		v1alpha1.ReasonNamespaceNotGranted: func(*v1alpha1.ApplicationToken) {},
		v1alpha1.ReasonTooManyTokens:       func(*v1alpha1.ApplicationToken) {},
		v1alpha1.ReasonInvalidSpec:         func(at *v1alpha1.ApplicationToken) { at.Status.ObservedGeneration = 0; at.Status.Conditions = nil }, // new
	} {
		q := electedAt(quota.Limits{Client: 1})
		feed := q.Feed()
		feed.OnAdd(tokenAt(1, ""), true)
		feed.OnAdd(tokenAt(2, v1alpha1.ReasonTooManyTokens), true)
		named := tokenAt(0, reason)
		named.Namespace = "stranger"
		twist(named)
		feed.OnAdd(named, false)
		feed.OnDelete(named)
		if len(q.woken) > 0 {
			t.Errorf("%s: woken %v", reason, q.woken)
		}
	}
}

func TestQuota_PlaceLeftBehindWakesTheOldest(t *testing.T) {
	for name, leave := range map[string]func(*v1alpha1.ApplicationToken){
		"revoked": func(at *v1alpha1.ApplicationToken) {
			at.Spec.State, at.Status.Current = v1alpha1.TokenRevoked, nil
		},
		"moved to another client": func(at *v1alpha1.ApplicationToken) {
			at.Spec.ClientRef.Name, at.Status.Client = "zoo", "zoo"
		},
		"withheld, since its namespace is granted nothing any more": func(at *v1alpha1.ApplicationToken) {
			at.Status.Conditions = tokenAt(0, v1alpha1.ReasonNamespaceNotGranted).Status.Conditions
		},
	} {
		q := electedAt(quota.Limits{Client: 1})
		feed := q.Feed()
		for n, reason := range []string{"", v1alpha1.ReasonTooManyTokens, v1alpha1.ReasonTooManyTokens} {
			feed.OnAdd(tokenAt(n, reason), true)
		}
		before, now := tokenAt(0, ""), tokenAt(0, "")
		now.Generation, now.Status.ObservedGeneration = 2, 2
		leave(now)
		feed.OnUpdate(before, now)
		if !slices.Equal(q.woken, []string{"t-01"}) {
			t.Errorf("%s: woken %v", name, q.woken)
		}
	}
}

// Until its versions are moved, a token counts where they are valid.
func TestQuota_EditThatWasNotServedFreesNoPlace(t *testing.T) {
	q := electedAt(quota.Limits{Client: 1})
	feed := q.Feed()
	feed.OnAdd(tokenAt(0, ""), true)
	feed.OnAdd(tokenAt(1, v1alpha1.ReasonTooManyTokens), true)
	edited := tokenAt(0, "")
	edited.Generation, edited.Spec.ClientRef.Name = 2, "nobody"
	feed.OnUpdate(tokenAt(0, ""), edited)
	refused := edited.DeepCopy()
	refused.Status.ObservedGeneration = 2
	refused.Status.Conditions = tokenAt(0, v1alpha1.ReasonClientMissing).Status.Conditions[:2]
	feed.OnUpdate(edited, refused)
	if len(q.woken) > 0 {
		t.Errorf("woken %v, while the version at the client is valid", q.woken)
	}
}

func TestQuota_HoldsForParallelRequests(t *testing.T) {
	w := newWorld(t)
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(5))})
	k := w.counter(api)
	made, errs := w.inParallel(24, []*counter{k})
	if len(made) != 5 {
		t.Errorf("%d of 24 were made, not 5", len(made))
	}
	for _, err := range errs {
		if no, ok := errors.AsType[*desk.Refused](err); !ok || !no.Full || !strings.Contains(no.Message, "at most 5 tokens") || !strings.Contains(no.Message, "spec.tokens.maxCount") {
			t.Errorf("refused with %v", err)
		}
	}
	w.must(w.start(api, api).lookAfter())
	if n := w.valid(made); n != 5 {
		t.Errorf("%d of the five are valid", n)
	}
}

// inParallel has so many tokens made at once, each by the next of the replicas.
func (w *world) inParallel(n int, replicas []*counter) (made []desk.Issued, errs []error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			one, err := replicas[i%len(replicas)].Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Name = fmt.Sprintf("ci-%02d", i) }))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else {
				made = append(made, one)
			}
		})
	}
	all.Wait()
	return made, errs
}

func (w *world) valid(all []desk.Issued) (n int) {
	for _, one := range all {
		if w.good(one.Secret) {
			n++
		}
	}
	return n
}

func (w *world) setPolicy(p v1alpha1.TokenPolicy) {
	w.t.Helper()
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.client}, &c))
	c.Spec.Tokens = p
	w.must(api.Update(w.ctx, &c))
}

// What replicas that do not know of each other have made is decided by the one that reconciles, and a restart of that decides
// the same.
func TestQuota_ReconcilerHoldsItOverReplicas(t *testing.T) {
	w := newWorld(t)
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(5))})
	made, _ := w.inParallel(24, []*counter{w.counter(api), w.counter(api), w.counter(api)})
	if len(made) != 15 {
		t.Fatalf("%d were made by three replicas, each of which knows of five", len(made))
	}
	var valid []bool
	for range 2 { // the second time it is a leader that has just started
		leader := w.start(api, api)
		w.observe(leader)
		w.must(leader.lookAfter())
		now := make([]bool, len(made))
		for i, one := range made {
			now[i] = w.good(one.Secret)
		}
		if n := w.valid(made); n != 5 || valid != nil && !slices.Equal(valid, now) {
			t.Errorf("%d are valid: %v, before: %v", n, now, valid)
		}
		valid = now
	}
	for i, one := range made {
		at := w.made(one.Token)
		if reason, _ := readiness(at); (reason == v1alpha1.ReasonTooManyTokens) == valid[i] {
			t.Errorf("%s is %s, and valid: %t", at.Name, reason, valid[i])
		}
	}

	// What has its answer stays when the limit is lowered; and what waits is served when there is a place.
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(1))})
	w.leads()
	if n := w.valid(made); n != 5 {
		t.Errorf("%d are valid where the limit was lowered", n)
	}
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(6))})
	w.leads()
	if n := w.valid(made); n != 6 {
		t.Errorf("%d are valid where the limit was raised to six", n)
	}
}

// An attempt that is withheld before its answer leaves no object, even if the leader writes to it at the same time. The object
// would take the place of a token in use.
func TestQuota_WithheldAttemptLeavesNoObject(t *testing.T) {
	w := newWorld(t)
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(1))})
	leader := w.start(api, api)
	made, _ := w.inParallel(1, []*counter{w.counter(api)})
	w.observe(leader)
	writes := 0
	raced := interceptor.NewClient(api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.CreateOption) error {
			if _, ok := obj.(*v1alpha1.TokenRecord); ok { // the reconciler comes between the object and its record
				w.observe(leader)
				w.must(leader.lookAfter())
			}
			return c.Create(ctx, obj, o...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			if at, ok := obj.(*v1alpha1.ApplicationToken); ok && writes < 3 {
				writes++
				now := at.DeepCopy()
				now.Labels = map[string]string{"write": strconv.Itoa(writes)}
				w.must(api.Patch(ctx, now, client.MergeFrom(at)))
			}
			return c.Delete(ctx, obj, o...)
		},
	})
	_, err := w.counter(raced).Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Name = "late" }))
	if no, ok := errors.AsType[*desk.Refused](err); !ok || !no.Full || writes == 0 {
		t.Fatalf("%v, after %d writes of others", err, writes)
	}
	var list v1alpha1.ApplicationTokenList
	w.must(api.List(w.ctx, &list, client.InNamespace(w.own)))
	if len(list.Items) != 1 || w.valid(made) != 1 {
		t.Errorf("%d objects, %d of them valid, where one was answered", len(list.Items), w.valid(made))
	}
}

// leads lets a leader that has just started bring everything to rest.
func (w *world) leads() {
	w.t.Helper()
	leader := w.start(api, api)
	w.observe(leader)
	w.must(leader.lookAfter())
}

// observe tells an operator of every token of the world, as its watch does at the start.
func (w *world) observe(o *operator) {
	w.t.Helper()
	feed := o.tokens.Quota.Feed()
	var list v1alpha1.ApplicationTokenList
	w.must(api.List(w.ctx, &list))
	for i := range list.Items {
		if at := &list.Items[i]; at.Namespace == w.own || at.Namespace == w.shop {
			feed.OnAdd(at, true)
		}
	}
}

func TestQuota_WithheldTokenIsNotRotated(t *testing.T) {
	w := newWorld(t)
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(1))})
	made, _ := w.inParallel(2, []*counter{w.counter(api), w.counter(api)})
	w.leads()
	for _, one := range made {
		if w.good(one.Secret) {
			continue
		}
		next, err := w.counter(api).Rotate(w.ctx, root, w.scope(), one.Token.Name, "")
		if no, ok := errors.AsType[*desk.Refused](err); !ok || !no.Full {
			t.Errorf("a token without a place was rotated: %v, %v", next.Token, err)
		}
	}
	if n := w.valid(made); n != 1 {
		t.Errorf("%d are valid", n)
	}
}

func TestQuota_UserHasALimitOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.user(func(u *v1alpha1.User) { u.Spec.Namespaces.Names = nil })
	w.setPolicy(v1alpha1.TokenPolicy{MaxCountPerUser: new(int32(1))})
	k := w.counter(api)
	_, err := k.Create(w.ctx, root, desk.Scope{User: w.userName()}, desk.Wanted{Name: "laptop"})
	w.must(err)
	_, err = k.Create(w.ctx, root, desk.Scope{User: w.userName()}, desk.Wanted{Name: "phone"})
	if no, ok := errors.AsType[*desk.Refused](err); !ok || !no.Full || !strings.Contains(no.Message, "maxCountPerUser") {
		t.Errorf("one too many of the user: %v", err)
	}
	_, err = k.Create(w.ctx, root, w.scope(), ci())
	w.must(err)
}

// A token that moves to a client without a place for it is refused there, and its place at the former client is free.
func TestQuota_MovedTokenNeedsAPlaceAtItsNewClient(t *testing.T) {
	w := newWorld(t)
	other := w.otherClient()
	w.must(w.grantFull(other))
	op := w.start(api, api)
	w.must(w.declare())
	w.must(op.settle())
	w.must(w.edit(func(at *v1alpha1.ApplicationToken) { at.Spec.ClientRef.Name = v1alpha1.ObjectName(other) }))
	w.must(op.settle())
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonTooManyTokens || !w.newest().Suspended {
		t.Errorf("%s, and its record: %+v", reason, w.newest())
	}
	w.must(w.edit(func(at *v1alpha1.ApplicationToken) { at.Spec.ClientRef.Name = v1alpha1.ObjectName(w.client) }))
	w.must(op.settle())
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonIssued || w.newest().Suspended {
		t.Errorf("back at its client: %s, and its record: %+v", reason, w.newest())
	}
}

// grantFull has a client grant its role to the world's namespace, and serve no token.
func (w *world) grantFull(name string) error {
	var c v1alpha1.Client
	if err := api.Get(w.ctx, types.NamespacedName{Name: name}, &c); err != nil {
		return err
	}
	c.Spec.Grants = []v1alpha1.Grant{{Namespaces: v1alpha1.NamespaceSelection{Names: []string{w.shop}}, Roles: []v1alpha1.RoleName{"primary"}}}
	c.Spec.Tokens.MaxCount = new(int32(0))
	return api.Update(w.ctx, &c)
}

func TestQuota_DefaultsBoundEveryClient(t *testing.T) {
	w := newWorld(t)
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.client}, &c))
	if l := controllers.LimitsOf(&c); l.Client != 10_000 || l.User != 100 || l.Namespaces != nil {
		t.Errorf("%+v", l)
	}
	c.Spec.Grants = append(c.Spec.Grants, c.Spec.Grants[0], c.Spec.Grants[0], v1alpha1.Grant{Namespaces: v1alpha1.NamespaceSelection{Names: []string{"desk"}}})
	c.Spec.Grants[1].MaxCount, c.Spec.Grants[2].MaxCount = new(int32(2)), new(int32(7))
	if l := controllers.LimitsOf(&c, w.shop, "desk"); l.Namespaces[w.shop] != 7 || l.Namespaces["desk"] < 1<<31 {
		t.Errorf("the largest limit counts, and one without has none: %+v", l)
	}
}
