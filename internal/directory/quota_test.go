package directory_test

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/quota"
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
		named.Namespace = "outsider"
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
	edited.Generation, edited.Spec.ClientRef.Name = 2, "absent"
	feed.OnUpdate(quotaToken(0, ""), edited)
	refused := edited.DeepCopy()
	refused.Status.ObservedGeneration = 2
	refused.Status.Conditions = quotaToken(0, v1alpha1.ReasonClientMissing).Status.Conditions[:2]
	feed.OnUpdate(edited, refused)
	if len(q.woken) > 0 {
		t.Errorf("woken %v, while the version at the client is valid", q.woken)
	}
}
