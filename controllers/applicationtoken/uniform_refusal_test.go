package applicationtoken_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// A namespace without a grant gets the same answer whether a client or user exists, is suspended,
// or has what the namespace asks for.
func TestRefusal_UniformUntilGranted(t *testing.T) {
	type change = func(*fixture)
	client := func(edit func(*v1alpha1.ClientSpec)) change {
		return func(w *fixture) {
			w.Must(w.EditClient(func(c *v1alpha1.Client) { c.Spec.Grants = nil; edit(&c.Spec) }))
		}
	}
	user := func(edit func(*fixture, *v1alpha1.UserSpec)) change {
		return func(w *fixture) {
			w.CreateUser(func(u *v1alpha1.User) { u.Spec.Namespaces.Names = nil; edit(w, &u.Spec) })
		}
	}
	clients := map[string]change{
		"does not exist":      func(w *fixture) { w.Must(api.Delete(w.Ctx, w.TheClient())) },
		"grants nothing":      client(func(*v1alpha1.ClientSpec) {}),
		"is suspended":        client(func(c *v1alpha1.ClientSpec) { c.State = v1alpha1.StateSuspended }),
		"has no roles":        client(func(c *v1alpha1.ClientSpec) { c.Roles = nil }),
		"forbids long tokens": client(func(c *v1alpha1.ClientSpec) { c.Tokens.MaxLifetime = "1h" }),
		"grants other namespaces": client(func(c *v1alpha1.ClientSpec) {
			c.Grants = []v1alpha1.Grant{{Namespaces: v1alpha1.NamespaceSelection{Names: []string{"another"}}, Roles: []v1alpha1.RoleName{"primary"}}}
		}),
		"allows metadata": client(func(c *v1alpha1.ClientSpec) { c.Tokens.AllowedSecretMetadata = []string{"app.kubernetes.io/"} }),
	}
	users := map[string]change{
		"does not exist":   func(*fixture) {},
		"does not list it": user(func(*fixture, *v1alpha1.UserSpec) {}),
		"is suspended":     user(func(_ *fixture, u *v1alpha1.UserSpec) { u.State = v1alpha1.StateSuspended }),
		"has no account":   user(func(_ *fixture, u *v1alpha1.UserSpec) { u.Accounts = nil }),
		"has two accounts": user(func(w *fixture, u *v1alpha1.UserSpec) {
			u.Accounts = append(u.Accounts, v1alpha1.Account{Client: w.OtherClient(), Default: true})
		}),
		"has one at a gone client":  user(func(_ *fixture, u *v1alpha1.UserSpec) { u.Accounts[0].Client = "absent" }),
		"has a client that forbids": func(w *fixture) { user(func(*fixture, *v1alpha1.UserSpec) {})(w); clients["forbids long tokens"](w) },
	}
	ofUser := func(at *v1alpha1.ApplicationToken, w *fixture, account string) {
		at.Spec.ClientRef, at.Spec.Roles = nil, nil
		at.Spec.UserRef = &v1alpha1.UserReference{Name: v1alpha1.ObjectName(w.UserName()), Client: account}
	}
	for spec, c := range map[string]struct {
		worlds  map[string]change
		declare func(*v1alpha1.ApplicationToken, *fixture)
	}{
		"a client": {clients, func(*v1alpha1.ApplicationToken, *fixture) {}},
		"a client, too much of it": {clients, func(at *v1alpha1.ApplicationToken, _ *fixture) {
			at.Spec.Roles = []v1alpha1.RoleName{"boss"}
			at.Spec.Lifetime = "999h"
		}},
		"a client, in a response": {clients, func(at *v1alpha1.ApplicationToken, _ *fixture) { at.Spec.Delivery = v1alpha1.DeliveryResponse }},
		"a client, with refused metadata": {clients, func(at *v1alpha1.ApplicationToken, _ *fixture) {
			at.Spec.Secret.Labels = map[string]v1alpha1.LabelValue{"app.kubernetes.io/name": "x"}
		}},
		"a clone": {clients, func(at *v1alpha1.ApplicationToken, w *fixture) {
			source := at.DeepCopy()
			source.Name = "source"
			w.Must(api.Create(w.Ctx, source))
			at.Spec = v1alpha1.ApplicationTokenSpec{CloneFrom: &v1alpha1.Reference{Name: "source"}}
		}},
		"a user":               {users, func(at *v1alpha1.ApplicationToken, w *fixture) { ofUser(at, w, "") }},
		"an account of a user": {users, func(at *v1alpha1.ApplicationToken, w *fixture) { ofUser(at, w, w.ClientName) }},
		"a foreign account":    {users, func(at *v1alpha1.ApplicationToken, w *fixture) { ofUser(at, w, "absent") }},
		"a user, in a response": {users, func(at *v1alpha1.ApplicationToken, w *fixture) {
			ofUser(at, w, "")
			at.Spec.Delivery = v1alpha1.DeliveryResponse
		}},
	} {
		t.Run(spec, func(t *testing.T) {
			answers := map[string][]string{}
			for name, change := range c.worlds {
				w := newFixture(t)
				change(w)
				at := &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "indexer"}, Spec: v1alpha1.ApplicationTokenSpec{
					ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.ClientName)}, Roles: []v1alpha1.RoleName{"primary"},
				}}
				c.declare(at, w)
				w.Must(api.Create(w.Ctx, at))
				answer := w.shownState()
				answers[answer] = append(answers[answer], name)
				if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonNamespaceNotGranted {
					t.Errorf("where it %s: %s", name, reason)
				}
			}
			if len(answers) != 1 {
				t.Errorf("the answer reveals which objects exist: %v", answers)
			}
		})
	}
}

// shownState returns all that the namespace of the token is shown, without the names that differ
// between fixtures.
func (w *fixture) shownState() string {
	w.T.Helper()
	o := w.NewOperator(api, api)
	said := events.NewFakeRecorder(16)
	o.Tokens.Events = said
	w.Must(o.Settle())
	at := w.Token()
	for i := range at.Status.Conditions {
		at.Status.Conditions[i].LastTransitionTime = metav1.Time{}
	}
	status, err := json.Marshal(at.Status)
	w.Must(err)
	text := fmt.Sprint(string(status), at.Finalizers)
	for len(said.Events) > 0 {
		text += "\n" + <-said.Events
	}
	number := strings.TrimPrefix(w.Namespace, "shop-")
	return strings.ReplaceAll(text, number, "N")
}

// After the grant is withdrawn, the namespace no longer sees what the grant let it see.
func TestRefusal_UniformAfterGrantIsWithdrawn(t *testing.T) {
	answers := map[string]bool{}
	for _, end := range []func(*fixture){
		func(w *fixture) { w.Must(w.EditClient(func(c *v1alpha1.Client) { c.Spec.Grants = nil })) },
		func(w *fixture) {
			w.Must(w.EditClient(func(c *v1alpha1.Client) { c.Spec.Grants, c.Spec.State = nil, v1alpha1.StateSuspended }))
		},
		func(w *fixture) { w.Must(api.Delete(w.Ctx, w.TheClient())) },
	} {
		w := newFixture(t)
		w.Must(w.DeclareToken())
		o := w.NewOperator(api, api)
		w.Must(o.Settle())
		end(w)
		w.Must(o.Settle())
		reason, message := operatortest.Readiness(w.Token())
		answers[reason+strings.ReplaceAll(message, strings.TrimPrefix(w.Namespace, "shop-"), "N")] = true
	}
	if len(answers) != 1 {
		t.Errorf("the answer reveals the cause: %v", answers)
	}
}
