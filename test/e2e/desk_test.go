package e2e_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// root is a caller that may create, change and reveal every token.
var root = desk.Caller{ID: "root", Subject: "root", Escalates: true}

// counter returns the management service of a second replica, with the operator's rights, on the
// caches of the first.
func (w *tenant) counter() *controllers.Desk {
	mgr := w.op.Manager
	return &controllers.Desk{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Records: record.NewKube(mgr.GetClient(), mgr.GetAPIReader(), system), Quota: w.op.Quota, Namespace: system,
		Now: time.Now, Entropy: rand.Reader, Ended: func(token.Digest) {}, Used: func(token.Digest) bool { return false }, Events: mgr.GetEventRecorder("apptoken-operator"),
	}
}

func TestWhatIsMadeOverTheDeskIsLookedAfterByTheLeader(t *testing.T) { // [3.4] [3.7]
	w := aTenant(t)
	k, s := w.counter(), desk.Scope{Client: w.name}
	made, err := k.Create(t.Context(), root, s, desk.Wanted{Name: "ci", Roles: []string{"developer"}, Lifetime: time.Hour})
	w.must(err)
	shown := func(sentence string, holds func(desk.Token) bool) {
		w.Helper()
		w.eventually(sentence, func(ctx context.Context) bool {
			got, err := k.Get(ctx, s, "ci")
			return err == nil && holds(got)
		})
	}
	reason := func(want string) func(context.Context) bool {
		return func(ctx context.Context) bool {
			var at v1alpha1.ApplicationToken
			w.must(admin.Get(ctx, keyOf(made.Token), &at))
			for _, c := range at.Status.Conditions {
				if c.Type == v1alpha1.ConditionReady && c.Reason == want {
					return true
				}
			}
			return false
		}
	}
	w.eventually("the token that was made is Delivered", reason(v1alpha1.ReasonDelivered))
	w.eventually("it is accepted", func(context.Context) bool { return w.accepted(made.Secret.Digest()) })
	next, err := k.RotateOwn(t.Context(), root, made.Secret.Digest(), "")
	w.must(err)
	w.eventually("the status is of the second version", func(ctx context.Context) bool {
		var at v1alpha1.ApplicationToken
		w.must(admin.Get(ctx, keyOf(made.Token), &at))
		c := at.Status.Current
		return c != nil && c.Record == next.Token.ID && at.Status.Rotations == 1 && len(at.Status.Predecessors) == 1
	})
	shown("the list has it", func(got desk.Token) bool { return got.Rotations == 1 && got.Predecessors == 1 && got.Ready })
	w.editClient(`{state: Suspended}`)
	w.eventually("with its client it is suspended", reason(v1alpha1.ReasonClientSuspended))
	w.editClient(`{state: Active}`)
	w.eventually("and is back with it", reason(v1alpha1.ReasonDelivered))
	w.must(k.Revoke(t.Context(), s, "ci"))
	w.judged("after its revocation", next.Secret.Digest(), false)
	w.judged("as the one before", made.Secret.Digest(), false)
}

func TestARequestOverTheDeskRotatesATokenInASecretOnce(t *testing.T) { // [3.4]
	w := aTenant(t)
	w.declare("indexer", `{rotation: {trigger: a}}`)
	first := w.current("indexer")
	k, s := w.counter(), desk.Scope{Client: w.name}
	for range 3 {
		_, err := k.Rotate(t.Context(), root, s, w.name+":indexer", "once")
		w.must(err)
	}
	w.version("indexer", 2)
	w.edit("indexer", `{rotation: {trigger: a}, lifetime: 100h}`)
	w.ready("indexer")
	w.kubectl("annotate", "applicationtoken", "indexer", "-n", w.name, "apptoken.dev/rotate-")
	w.edit("indexer", `{rotation: {trigger: a}, lifetime: 200h}`)
	if at := w.ready("indexer"); at.Status.Rotations != 1 || !w.accepted(first) {
		t.Errorf("it rotated %d times", at.Status.Rotations)
	}
}

func keyOf(t desk.Token) types.NamespacedName {
	return types.NamespacedName{Namespace: t.Namespace, Name: t.Object}
}
