package e2e_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
)

// rootCaller is a caller that may create, change and reveal every token.
var rootCaller = management.Caller{ID: "root", Subject: "root", CanEscalate: true}

// managementService returns the management service of a second replica, with the operator's rights,
// on the caches of the first.
func (w *tenant) managementService() *management.Service {
	mgr := w.op.Manager
	return &management.Service{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Records: kube.New(mgr.GetClient(), mgr.GetAPIReader(), systemNamespace), Quota: w.op.Quota, Namespace: systemNamespace,
		Now: time.Now, Entropy: rand.Reader, Ended: func(token.Digest) {}, WasUsed: func(token.Digest) bool { return false }, Events: mgr.GetEventRecorder("apptoken-operator"),
	}
}

func TestManagement_LeaderReconcilesCreatedToken(t *testing.T) { // [3.4] [3.7]
	w := newSharedTenant(t)
	k, s := w.managementService(), management.Scope{Client: w.name}
	made, err := k.Create(t.Context(), rootCaller, s, management.TokenSpec{Name: "ci", Roles: []string{"developer"}, Lifetime: time.Hour})
	w.must(err)
	shown := func(sentence string, holds func(management.Token) bool) {
		w.Helper()
		w.eventually(sentence, func(ctx context.Context) bool {
			got, err := k.Get(ctx, s, "ci")
			return err == nil && holds(got)
		})
	}
	reason := func(want string) func(context.Context) bool {
		return func(ctx context.Context) bool {
			var at v1alpha1.ApplicationToken
			w.must(admin.Get(ctx, objectKeyOf(made.Token), &at))
			for _, c := range at.Status.Conditions {
				if c.Type == v1alpha1.ConditionReady && c.Reason == want {
					return true
				}
			}
			return false
		}
	}
	w.eventually("the token that was made is Delivered", reason(v1alpha1.ReasonDelivered))
	w.eventually("it is accepted", func(context.Context) bool { return w.isAccepted(made.Secret.Digest()) })
	next, err := k.RotateOwn(t.Context(), rootCaller, made.Secret.Digest(), "")
	w.must(err)
	w.eventually("the status is of the second version", func(ctx context.Context) bool {
		var at v1alpha1.ApplicationToken
		w.must(admin.Get(ctx, objectKeyOf(made.Token), &at))
		c := at.Status.Current
		return c != nil && c.Record == next.Token.ID && at.Status.Rotations == 1 && len(at.Status.Predecessors) == 1
	})
	shown("the list has it", func(got management.Token) bool { return got.Rotations == 1 && got.Predecessors == 1 && got.Ready })
	w.editClient(`{state: Suspended}`)
	w.eventually("with its client it is suspended", reason(v1alpha1.ReasonClientSuspended))
	w.editClient(`{state: Active}`)
	w.eventually("and is back with it", reason(v1alpha1.ReasonDelivered))
	w.must(k.Revoke(t.Context(), s, "ci"))
	w.waitAccepted("after its revocation", next.Secret.Digest(), false)
	w.waitAccepted("as the one before", made.Secret.Digest(), false)
}

func TestManagement_RotatesTokenInSecretOnce(t *testing.T) { // [3.4]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {trigger: a}}`)
	first := w.currentDigest("indexer")
	k, s := w.managementService(), management.Scope{Client: w.name}
	for range 3 {
		_, err := k.Rotate(t.Context(), rootCaller, s, w.name+":indexer", "once")
		w.must(err)
	}
	w.waitVersion("indexer", 2)
	w.editToken("indexer", `{rotation: {trigger: a}, lifetime: 100h}`)
	w.waitReady("indexer")
	w.kubectl("annotate", "applicationtoken", "indexer", "-n", w.name, "apptoken.dev/rotate-")
	w.editToken("indexer", `{rotation: {trigger: a}, lifetime: 200h}`)
	if at := w.waitReady("indexer"); at.Status.Rotations != 1 || !w.isAccepted(first) {
		t.Errorf("it rotated %d times", at.Status.Rotations)
	}
}

func objectKeyOf(t management.Token) types.NamespacedName {
	return types.NamespacedName{Namespace: t.Namespace, Name: t.Object}
}
