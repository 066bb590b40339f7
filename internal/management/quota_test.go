package management_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

func TestQuota_HoldsForParallelRequests(t *testing.T) {
	w := newFixture(t)
	w.SetPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(5))})
	k := w.NewManagementReplica(api)
	made, errs := w.CreateConcurrently(24, []*operatortest.ManagementReplica{k})
	if len(made) != 5 {
		t.Errorf("%d of 24 were made, not 5", len(made))
	}
	for _, err := range errs {
		if no, ok := errors.AsType[*management.Refused](err); !ok || !no.QuotaExceeded || !strings.Contains(no.Message, "at most 5 tokens") || !strings.Contains(no.Message, "spec.tokens.maxCount") {
			t.Errorf("refused with %v", err)
		}
	}
	w.Must(w.NewOperator(api, api).SettleOwnNamespace())
	if n := w.CountAccepted(made); n != 5 {
		t.Errorf("%d of the five are valid", n)
	}
}

// An attempt that is withheld before its answer leaves no object, even if the leader writes to it
// at the same time. The object would take quota from a token in use.
func TestQuota_WithheldAttemptLeavesNoObject(t *testing.T) {
	w := newFixture(t)
	w.SetPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(1))})
	leader := w.NewOperator(api, api)
	made, _ := w.CreateConcurrently(1, []*operatortest.ManagementReplica{w.NewManagementReplica(api)})
	w.ReplayTokens(leader)
	writes := 0
	raced := interceptor.NewClient(api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.CreateOption) error {
			if _, ok := obj.(*v1alpha1.TokenRecord); ok { // the reconciler comes between the object and its record
				w.ReplayTokens(leader)
				w.Must(leader.SettleOwnNamespace())
			}
			return c.Create(ctx, obj, o...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
			if at, ok := obj.(*v1alpha1.ApplicationToken); ok && writes < 3 {
				writes++
				now := at.DeepCopy()
				now.Labels = map[string]string{"write": strconv.Itoa(writes)}
				w.Must(api.Patch(ctx, now, client.MergeFrom(at)))
			}
			return c.Delete(ctx, obj, o...)
		},
	})
	_, err := w.NewManagementReplica(raced).Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Name = "late" }))
	if no, ok := errors.AsType[*management.Refused](err); !ok || !no.QuotaExceeded || writes == 0 {
		t.Fatalf("%v, after %d writes of others", err, writes)
	}
	var list v1alpha1.ApplicationTokenList
	w.Must(api.List(w.Ctx, &list, client.InNamespace(w.OwnNamespace)))
	if len(list.Items) != 1 || w.CountAccepted(made) != 1 {
		t.Errorf("%d objects, %d of them valid, where one was answered", len(list.Items), w.CountAccepted(made))
	}
}

func TestQuota_WithheldTokenIsNotRotated(t *testing.T) {
	w := newFixture(t)
	w.SetPolicy(v1alpha1.TokenPolicy{MaxCount: new(int32(1))})
	made, _ := w.CreateConcurrently(2, []*operatortest.ManagementReplica{w.NewManagementReplica(api), w.NewManagementReplica(api)})
	w.SettleWithNewLeader()
	for _, one := range made {
		if w.IsAccepted(one.Secret) {
			continue
		}
		next, err := w.NewManagementReplica(api).Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), one.Token.Name, "")
		if no, ok := errors.AsType[*management.Refused](err); !ok || !no.QuotaExceeded {
			t.Errorf("a token without a place was rotated: %v, %v", next.Token, err)
		}
	}
	if n := w.CountAccepted(made); n != 1 {
		t.Errorf("%d are valid", n)
	}
}

func TestQuota_UserHasALimitOfItsOwn(t *testing.T) {
	w := newFixture(t)
	w.CreateUser(func(u *v1alpha1.User) { u.Spec.Namespaces.Names = nil })
	w.SetPolicy(v1alpha1.TokenPolicy{MaxCountPerUser: new(int32(1))})
	k := w.NewManagementReplica(api)
	_, err := k.Create(w.Ctx, operatortest.RootCaller, management.Scope{User: w.UserName()}, management.TokenSpec{Name: "laptop"})
	w.Must(err)
	_, err = k.Create(w.Ctx, operatortest.RootCaller, management.Scope{User: w.UserName()}, management.TokenSpec{Name: "phone"})
	if no, ok := errors.AsType[*management.Refused](err); !ok || !no.QuotaExceeded || !strings.Contains(no.Message, "maxCountPerUser") {
		t.Errorf("one too many of the user: %v", err)
	}
	_, err = k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
}
