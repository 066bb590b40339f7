package applicationtoken_test

import (
	"context"
	"fmt"
	"net/netip"
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
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/verify"
)

// The older of two Clients asks for the account ID when the younger holds it.
func TestAccountID_FirstHolderKeepsIt(t *testing.T) {
	w := newFixture(t)
	id := time.Now().UnixNano() >> 10 // no other test uses it
	young := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: "young-" + w.clientName}, Spec: v1alpha1.ClientSpec{AccountID: &id}}
	w.must(api.Create(w.ctx, young)) // after the fixture's own; within one second the names decide: "acme" comes first
	told := events.NewFakeRecorder(32)
	// The cache of a new leader does not show yet what the previous leader wrote a moment ago.
	stale := interceptor.NewClient(byIndexes(t, api), interceptor.Funcs{
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
	r := &clientctrl.Reconciler{Client: stale, Live: api, Now: func() time.Time { return w.now }, Events: told}
	pass := func(names ...string) {
		t.Helper()
		for _, name := range names {
			var c v1alpha1.Client
			w.must(api.Get(w.ctx, types.NamespacedName{Name: name}, &c))
			_, err := r.Reconcile(w.ctx, &c)
			w.must(err)
		}
	}
	expect := func(when, name, reason string, has, contested bool) {
		t.Helper()
		var c v1alpha1.Client
		w.must(api.Get(w.ctx, types.NamespacedName{Name: name}, &c))
		ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
		if ready.Reason != reason || (c.Status.AccountID != nil) != has || meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionAccountIDContested) != contested {
			t.Errorf("%s: %s is %s: %s; account ID %v; %v", when, name, ready.Reason, ready.Message, c.Status.AccountID, c.Status.Conditions)
		}
	}
	pass(young.Name, w.clientName)
	expect("it asks alone", young.Name, v1alpha1.ReasonActive, true, false)
	w.must(w.editClient(func(c *v1alpha1.Client) { c.Spec.AccountID = &id }))
	for range 2 {
		pass(w.clientName, young.Name)
		expect("the older asks for it", w.clientName, v1alpha1.ReasonAccountIDTaken, false, false)
		expect("the older asks for it", young.Name, v1alpha1.ReasonActive, true, true)
	}
	var said []string
	for len(told.Events) > 0 {
		said = append(said, <-told.Events)
	}
	if text := strings.Join(said, "\n"); strings.Count(text, "AccountIDClaimed") != 1 || strings.Count(text, "AccountIDTaken") != 1 {
		t.Errorf("the events are:\n%s", text)
	}
	w.must(api.Delete(w.ctx, young))
	pass(w.clientName)
	expect("the younger is gone", w.clientName, v1alpha1.ReasonActive, true, false)
	w.must(w.editClient(func(c *v1alpha1.Client) { c.Spec.AccountID = nil }))
	pass(w.clientName)
	expect("it asks no more", w.clientName, v1alpha1.ReasonActive, false, false)
}

// Each replica follows the statuses, with or without a leader, and shows no object under the
// account ID or username of another.
func TestClaims_ReplicasShowOnlyTheHolder(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := int64(7)
	object := func(name string, age time.Duration) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(noon.Add(-age))}
	}
	index, known := &verify.Index{}, &login.Directory{}
	clients := directory.NewClientHandler(index, known)
	users := (&directory.UserSync{Index: index, Directory: known}).UserHandler()
	verifier := verify.NewVerifier(index, nil, verify.Options{LookupsPerSecond: 1, Now: func() time.Time { return noon }})
	verifier.MarkFresh()
	set := func(name string, age time.Duration, asks, has bool) {
		c := &v1alpha1.Client{ObjectMeta: object(name, age), Spec: v1alpha1.ClientSpec{State: v1alpha1.StateActive}}
		u := &v1alpha1.User{ObjectMeta: object(name, age), Spec: v1alpha1.UserSpec{
			State: v1alpha1.StateActive, Username: "other-" + name, Accounts: []v1alpha1.Account{{Client: name}},
		}}
		if asks {
			c.Spec.AccountID, u.Spec.Username = &id, "shared"
		}
		if has {
			c.Status.AccountID, u.Status.Username = &id, "shared"
		}
		clients.OnAdd(c, false)
		users.OnAdd(u, false)
	}
	expect := func(when, want string) {
		t.Helper()
		var shown []string
		for _, name := range []string{"old", "young"} {
			who, verdict := verifier.PasswordIdentity(name, name, netip.Addr{})
			if verdict != verify.Valid {
				t.Fatalf("%s: %s is %v", when, name, verdict)
			}
			if who.Client.AccountID == id != (who.User.Username == "shared") {
				t.Errorf("%s: of %s the verifier shows %d and %q", when, name, who.Client.AccountID, who.User.Username)
			}
			if who.Client.AccountID == id {
				shown = append(shown, name)
			}
		}
		c, _ := known.ByAccountID(id)
		u, _ := known.ByUsername("shared")
		if got := fmt.Sprint(shown, c.Name, u.Name); got != fmt.Sprint(strings.Fields(want), want, want) {
			t.Errorf("%s: %s, want %q", when, got, want)
		}
	}
	set("old", time.Hour, false, false)
	set("young", 0, true, false)
	expect("one asks alone, and no leader has decided", "young")
	set("old", time.Hour, true, false)
	expect("two ask, and no leader has decided", "")
	set("young", 0, true, true)
	expect("the younger has it", "young")
	set("young", 0, false, true)
	expect("the younger asks for another", "old")
	set("old", time.Hour, true, true)
	set("young", 0, true, true)
	expect("both have it, after a restore", "old")
	c, u := &v1alpha1.Client{ObjectMeta: object("old", time.Hour)}, &v1alpha1.User{ObjectMeta: object("old", time.Hour), Spec: v1alpha1.UserSpec{Username: "shared"}}
	clients.OnDelete(c)
	users.OnDelete(u)
	if c, _ := known.ByAccountID(id); c.Name != "young" {
		t.Errorf("once the older is gone, %q has the account ID", c.Name)
	}
	if u, _ := known.ByUsername("shared"); u.Name != "young" {
		t.Errorf("once the older is gone, %q has the username", u.Name)
	}
}
