package applicationtoken_test

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
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/quota"
	"github.com/apptoken/operator/internal/tokenspec"
)

// electedQuota is the Quota of an elected replica, and the tokens that it has enqueued.
type electedQuota struct {
	*directory.Quota
	woken []string
}

func newElectedQuota(limits quota.Limits) *electedQuota {
	e := &electedQuota{Quota: directory.NewQuota("own")}
	e.Elect(func(string, []string) (quota.Limits, bool) { return limits, true }, func(keys []quota.Key) {
		for _, k := range keys {
			e.woken = append(e.woken, k.Name)
		}
	})
	return e
}

// quotaToken returns a token of Client acme whose last pass ended with that reason; empty: it was
// issued.
func quotaToken(n int, reason string) *v1alpha1.ApplicationToken {
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

func TestQuota_DeletionEnqueuesAsManyAsFit(t *testing.T) {
	for deleted := range 5 {
		q := newElectedQuota(quota.Limits{Client: 4})
		feed := q.EventHandler()
		for n := range 20 {
			reason := ""
			if n >= 4 {
				reason = v1alpha1.ReasonTooManyTokens
			}
			feed.OnAdd(quotaToken(n, reason), true)
		}
		for n := range deleted {
			feed.OnDelete(quotaToken(n, ""))
		}
		want := []string{"t-04", "t-05", "t-06", "t-07"}[:deleted]
		if !slices.Equal(q.woken, want) {
			t.Errorf("%d deleted: woken %v, want %v", deleted, q.woken, want)
		}
	}
}

func TestQuota_TokenWithoutQuotaEnqueuesNone(t *testing.T) {
	for reason, twist := range map[string]func(*v1alpha1.ApplicationToken){
		v1alpha1.ReasonNamespaceNotGranted: func(*v1alpha1.ApplicationToken) {},
		v1alpha1.ReasonTooManyTokens:       func(*v1alpha1.ApplicationToken) {},
		v1alpha1.ReasonInvalidSpec:         func(at *v1alpha1.ApplicationToken) { at.Status.ObservedGeneration = 0; at.Status.Conditions = nil }, // new
	} {
		q := newElectedQuota(quota.Limits{Client: 1})
		feed := q.EventHandler()
		feed.OnAdd(quotaToken(1, ""), true)
		feed.OnAdd(quotaToken(2, v1alpha1.ReasonTooManyTokens), true)
		named := quotaToken(0, reason)
		named.Namespace = "stranger"
		twist(named)
		feed.OnAdd(named, false)
		feed.OnDelete(named)
		if len(q.woken) > 0 {
			t.Errorf("%s: woken %v", reason, q.woken)
		}
	}
}

func TestQuota_FreedQuotaGoesToOldest(t *testing.T) {
	for name, leave := range map[string]func(*v1alpha1.ApplicationToken){
		"revoked": func(at *v1alpha1.ApplicationToken) {
			at.Spec.State, at.Status.Current = v1alpha1.TokenRevoked, nil
		},
		"moved to another client": func(at *v1alpha1.ApplicationToken) {
			at.Spec.ClientRef.Name, at.Status.Client = "zoo", "zoo"
		},
		"withheld, since its namespace is granted nothing any more": func(at *v1alpha1.ApplicationToken) {
			at.Status.Conditions = quotaToken(0, v1alpha1.ReasonNamespaceNotGranted).Status.Conditions
		},
	} {
		q := newElectedQuota(quota.Limits{Client: 1})
		feed := q.EventHandler()
		for n, reason := range []string{"", v1alpha1.ReasonTooManyTokens, v1alpha1.ReasonTooManyTokens} {
			feed.OnAdd(quotaToken(n, reason), true)
		}
		before, now := quotaToken(0, ""), quotaToken(0, "")
		now.Generation, now.Status.ObservedGeneration = 2, 2
		leave(now)
		feed.OnUpdate(before, now)
		if !slices.Equal(q.woken, []string{"t-01"}) {
			t.Errorf("%s: woken %v", name, q.woken)
		}
	}
}

// Until its versions move, a token counts where they are valid.
func TestQuota_RefusedEditFreesNothing(t *testing.T) {
	q := newElectedQuota(quota.Limits{Client: 1})
	feed := q.EventHandler()
	feed.OnAdd(quotaToken(0, ""), true)
	feed.OnAdd(quotaToken(1, v1alpha1.ReasonTooManyTokens), true)
	edited := quotaToken(0, "")
	edited.Generation, edited.Spec.ClientRef.Name = 2, "nobody"
	feed.OnUpdate(quotaToken(0, ""), edited)
	refused := edited.DeepCopy()
	refused.Status.ObservedGeneration = 2
	refused.Status.Conditions = quotaToken(0, v1alpha1.ReasonClientMissing).Status.Conditions[:2]
	feed.OnUpdate(edited, refused)
	if len(q.woken) > 0 {
		t.Errorf("woken %v, while the version at the client is valid", q.woken)
	}
}

func TestQuota_HoldsForParallelRequests(t *testing.T) {
	w := newFixture(t)
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(5))})
	k := w.newManagementReplica(api)
	made, errs := w.createConcurrently(24, []*managementReplica{k})
	if len(made) != 5 {
		t.Errorf("%d of 24 were made, not 5", len(made))
	}
	for _, err := range errs {
		if no, ok := errors.AsType[*management.Refused](err); !ok || !no.QuotaExceeded || !strings.Contains(no.Message, "at most 5 tokens") || !strings.Contains(no.Message, "spec.tokens.maxCount") {
			t.Errorf("refused with %v", err)
		}
	}
	w.must(w.newOperator(api, api).settleOwnNamespace())
	if n := w.countAccepted(made); n != 5 {
		t.Errorf("%d of the five are valid", n)
	}
}

// createConcurrently creates so many tokens at once, each through the next of the replicas.
func (w *fixture) createConcurrently(n int, replicas []*managementReplica) (made []management.Issued, errs []error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			one, err := replicas[i%len(replicas)].Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Name = fmt.Sprintf("ci-%02d", i) }))
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

func (w *fixture) countAccepted(all []management.Issued) (n int) {
	for _, one := range all {
		if w.isAccepted(one.Secret) {
			n++
		}
	}
	return n
}

func (w *fixture) setPolicy(p v1alpha1.TokenPolicy) {
	w.t.Helper()
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.clientName}, &c))
	c.Spec.Tokens = p
	w.must(api.Update(w.ctx, &c))
}

// The reconciling replica decides about tokens that independent replicas created at once. A restart
// of it decides the same.
func TestQuota_ReconcilerEnforcesItAcrossReplicas(t *testing.T) {
	w := newFixture(t)
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(5))})
	made, _ := w.createConcurrently(24, []*managementReplica{w.newManagementReplica(api), w.newManagementReplica(api), w.newManagementReplica(api)})
	if len(made) != 15 {
		t.Fatalf("%d were made by three replicas, each of which knows of five", len(made))
	}
	var valid []bool
	for range 2 { // the second leader has just started
		leader := w.newOperator(api, api)
		w.replayTokens(leader)
		w.must(leader.settleOwnNamespace())
		now := make([]bool, len(made))
		for i, one := range made {
			now[i] = w.isAccepted(one.Secret)
		}
		if n := w.countAccepted(made); n != 5 || valid != nil && !slices.Equal(valid, now) {
			t.Errorf("%d are valid: %v, before: %v", n, now, valid)
		}
		valid = now
	}
	for i, one := range made {
		at := w.managedObject(one.Token)
		if reason, _ := readiness(at); (reason == v1alpha1.ReasonTooManyTokens) == valid[i] {
			t.Errorf("%s is %s, and valid: %t", at.Name, reason, valid[i])
		}
	}

	// A delivered token stays when the limit is lowered. A waiting token is served when there is
	// quota.
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(1))})
	w.settleWithNewLeader()
	if n := w.countAccepted(made); n != 5 {
		t.Errorf("%d are valid where the limit was lowered", n)
	}
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(6))})
	w.settleWithNewLeader()
	if n := w.countAccepted(made); n != 6 {
		t.Errorf("%d are valid where the limit was raised to six", n)
	}
}

// An attempt that is withheld before its answer leaves no object, even if the leader writes to it
// at the same time. The object would take quota from a token in use.
func TestQuota_WithheldAttemptLeavesNoObject(t *testing.T) {
	w := newFixture(t)
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(1))})
	leader := w.newOperator(api, api)
	made, _ := w.createConcurrently(1, []*managementReplica{w.newManagementReplica(api)})
	w.replayTokens(leader)
	writes := 0
	raced := interceptor.NewClient(api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.CreateOption) error {
			if _, ok := obj.(*v1alpha1.TokenRecord); ok { // the reconciler comes between the object and its record
				w.replayTokens(leader)
				w.must(leader.settleOwnNamespace())
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
	_, err := w.newManagementReplica(raced).Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Name = "late" }))
	if no, ok := errors.AsType[*management.Refused](err); !ok || !no.QuotaExceeded || writes == 0 {
		t.Fatalf("%v, after %d writes of others", err, writes)
	}
	var list v1alpha1.ApplicationTokenList
	w.must(api.List(w.ctx, &list, client.InNamespace(w.ownNamespace)))
	if len(list.Items) != 1 || w.countAccepted(made) != 1 {
		t.Errorf("%d objects, %d of them valid, where one was answered", len(list.Items), w.countAccepted(made))
	}
}

// settleWithNewLeader lets a leader that has just started settle everything.
func (w *fixture) settleWithNewLeader() {
	w.t.Helper()
	leader := w.newOperator(api, api)
	w.replayTokens(leader)
	w.must(leader.settleOwnNamespace())
}

// replayTokens passes every token of the fixture to an operator, as its watch does at the start.
func (w *fixture) replayTokens(o *operator) {
	w.t.Helper()
	feed := o.tokens.Quota.EventHandler()
	var list v1alpha1.ApplicationTokenList
	w.must(api.List(w.ctx, &list))
	for i := range list.Items {
		if at := &list.Items[i]; at.Namespace == w.ownNamespace || at.Namespace == w.namespace {
			feed.OnAdd(at, true)
		}
	}
}

func TestQuota_WithheldTokenIsNotRotated(t *testing.T) {
	w := newFixture(t)
	w.setPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(1))})
	made, _ := w.createConcurrently(2, []*managementReplica{w.newManagementReplica(api), w.newManagementReplica(api)})
	w.settleWithNewLeader()
	for _, one := range made {
		if w.isAccepted(one.Secret) {
			continue
		}
		next, err := w.newManagementReplica(api).Rotate(w.ctx, rootCaller, w.scope(), one.Token.Name, "")
		if no, ok := errors.AsType[*management.Refused](err); !ok || !no.QuotaExceeded {
			t.Errorf("a token without a place was rotated: %v, %v", next.Token, err)
		}
	}
	if n := w.countAccepted(made); n != 1 {
		t.Errorf("%d are valid", n)
	}
}

func TestQuota_UserHasALimitOfItsOwn(t *testing.T) {
	w := newFixture(t)
	w.createUser(func(u *v1alpha1.User) { u.Spec.Namespaces.Names = nil })
	w.setPolicy(v1alpha1.TokenPolicy{MaxCountPerUser: new(int32(1))})
	k := w.newManagementReplica(api)
	_, err := k.Create(w.ctx, rootCaller, management.Scope{User: w.userName()}, management.TokenSpec{Name: "laptop"})
	w.must(err)
	_, err = k.Create(w.ctx, rootCaller, management.Scope{User: w.userName()}, management.TokenSpec{Name: "phone"})
	if no, ok := errors.AsType[*management.Refused](err); !ok || !no.QuotaExceeded || !strings.Contains(no.Message, "maxCountPerUser") {
		t.Errorf("one too many of the user: %v", err)
	}
	_, err = k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
}

// A token that moves to a client without quota for it is refused there, and its quota at the former
// client is free.
func TestQuota_MovedTokenNeedsQuotaAtNewClient(t *testing.T) {
	w := newFixture(t)
	other := w.otherClient()
	w.must(w.grantWithoutQuota(other))
	op := w.newOperator(api, api)
	w.must(w.declareToken())
	w.must(op.settle())
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.ClientRef.Name = v1alpha1.ObjectName(other) }))
	w.must(op.settle())
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonTooManyTokens || !w.newestRecord().Suspended {
		t.Errorf("%s, and its record: %+v", reason, w.newestRecord())
	}
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.ClientRef.Name = v1alpha1.ObjectName(w.clientName) }))
	w.must(op.settle())
	if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonIssued || w.newestRecord().Suspended {
		t.Errorf("back at its client: %s, and its record: %+v", reason, w.newestRecord())
	}
}

// grantWithoutQuota lets a client grant its role to the fixture's namespace, with quota for no
// token.
func (w *fixture) grantWithoutQuota(name string) error {
	var c v1alpha1.Client
	if err := api.Get(w.ctx, types.NamespacedName{Name: name}, &c); err != nil {
		return err
	}
	c.Spec.Grants = []v1alpha1.Grant{{Namespaces: v1alpha1.NamespaceSelection{Names: []string{w.namespace}}, Roles: []v1alpha1.RoleName{"primary"}}}
	c.Spec.Tokens.MaxCount = new(int32(0))
	return api.Update(w.ctx, &c)
}

func TestQuota_DefaultsBoundEveryClient(t *testing.T) {
	w := newFixture(t)
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.clientName}, &c))
	if l, err := (tokenspec.Resolver{}).QuotaLimits(w.ctx, &c); err != nil || l.Client != 10_000 || l.User != 100 || l.Namespaces != nil {
		t.Errorf("%+v", l)
	}
	c.Spec.Grants = append(c.Spec.Grants, c.Spec.Grants[0], c.Spec.Grants[0], v1alpha1.Grant{Namespaces: v1alpha1.NamespaceSelection{Names: []string{"blog"}}})
	c.Spec.Grants[1].MaxCount, c.Spec.Grants[2].MaxCount = new(int32(2)), new(int32(7))
	if l, err := (tokenspec.Resolver{}).QuotaLimits(w.ctx, &c, w.namespace, "blog"); err != nil || l.Namespaces[w.namespace] != 7 || l.Namespaces["blog"] < 1<<31 {
		t.Errorf("the largest limit counts, and one without has none: %+v", l)
	}
}
