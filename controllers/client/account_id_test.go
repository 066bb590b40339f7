package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	clientctrl "github.com/apptoken/operator/controllers/client"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// The older of two Clients asks for the account ID when the younger holds it.
func TestAccountID_FirstHolderKeepsIt(t *testing.T) {
	w := operatortest.New(t, api)
	id := time.Now().UnixNano() >> 10 // no other test uses it
	young := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: "young-" + w.ClientName}, Spec: v1alpha1.ClientSpec{AccountID: &id}}
	w.Must(api.Create(w.Ctx, young)) // after the fixture's own; within one second the names decide: "acme" comes first
	told := events.NewFakeRecorder(32)
	// The cache of a new leader does not show yet what the previous leader wrote a moment ago.
	stale := interceptor.NewClient(operatortest.ByIndexes(t, api), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			err := c.List(ctx, list, o...)
			if l, ok := list.(*v1alpha1.ClientList); ok {
				for i := range l.Items {
					l.Items[i].Status = v1alpha1.ClientStatus{}
				}
			}
			return err
		},
	})
	r := &clientctrl.Reconciler{Client: stale, Live: api, Now: func() time.Time { return w.Now }, Events: told}
	pass := func(names ...string) {
		t.Helper()
		for _, name := range names {
			var c v1alpha1.Client
			w.Must(api.Get(w.Ctx, types.NamespacedName{Name: name}, &c))
			_, err := r.Reconcile(w.Ctx, &c)
			w.Must(err)
		}
	}
	expect := func(when, name, reason string, has, contested bool) {
		t.Helper()
		var c v1alpha1.Client
		w.Must(api.Get(w.Ctx, types.NamespacedName{Name: name}, &c))
		ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
		if ready.Reason != reason || (c.Status.AccountID != nil) != has || meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionAccountIDContested) != contested {
			t.Errorf("%s: %s is %s: %s; account ID %v; %v", when, name, ready.Reason, ready.Message, c.Status.AccountID, c.Status.Conditions)
		}
	}
	pass(young.Name, w.ClientName)
	expect("it asks alone", young.Name, v1alpha1.ReasonActive, true, false)
	w.Must(w.EditClient(func(c *v1alpha1.Client) { c.Spec.AccountID = &id }))
	for range 2 {
		pass(w.ClientName, young.Name)
		expect("the older asks for it", w.ClientName, v1alpha1.ReasonAccountIDTaken, false, false)
		expect("the older asks for it", young.Name, v1alpha1.ReasonActive, true, true)
	}
	var said []string
	for len(told.Events) > 0 {
		said = append(said, <-told.Events)
	}
	if text := strings.Join(said, "\n"); strings.Count(text, "AccountIDClaimed") != 1 || strings.Count(text, "AccountIDTaken") != 1 {
		t.Errorf("the events are:\n%s", text)
	}
	w.Must(api.Delete(w.Ctx, young))
	pass(w.ClientName)
	expect("the younger is gone", w.ClientName, v1alpha1.ReasonActive, true, false)
	w.Must(w.EditClient(func(c *v1alpha1.Client) { c.Spec.AccountID = nil }))
	pass(w.ClientName)
	expect("it asks no more", w.ClientName, v1alpha1.ReasonActive, false, false)
}
