package directory_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/verify"
)

// startVerifier starts a replica that verifies and never reconciles, and returns its index.
func (w *fixture) startVerifier() *verify.Index {
	w.T.Helper()
	ctx, cancel := context.WithCancel(w.Ctx)
	done := make(chan error, 1)
	own := map[string]cache.Config{w.OwnNamespace: {}}
	c, err := cache.New(admin, cache.Options{Scheme: api.Scheme(), ByObject: map[client.Object]cache.ByObject{
		&v1alpha1.TokenRecord{}: {Namespaces: own}, &corev1.Secret{}: {Namespaces: own},
	}})
	w.Must(err)
	go func() { done <- c.Start(ctx) }()
	w.T.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.T.Error(err)
		}
	})
	index, known := &verify.Index{}, &login.Directory{}
	userSync := &directory.UserSync{Index: index, Directory: known}
	namespaces := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}
	for _, f := range []struct {
		of client.Object
		to toolscache.ResourceEventHandler
	}{
		{&v1alpha1.TokenRecord{}, kube.NewEventHandler(index)}, {&v1alpha1.Client{}, directory.NewClientHandler(index, known)},
		{&v1alpha1.User{}, userSync.UserHandler()}, {&corev1.Secret{}, userSync.PasswordHandler()},
		{&v1alpha1.ApplicationToken{}, directory.NewOwnerHandler(index, w.OwnNamespace)}, {namespaces, directory.NewNamespaceHandler(index)},
	} {
		informer, err := c.GetInformer(ctx, f.of)
		w.Must(err)
		registration, err := informer.AddEventHandler(f.to)
		w.Must(err)
		if !toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			w.T.Fatal("the caches were not filled")
		}
	}
	return index
}

// Invariant 6 without a leader: no reconciler runs between the change and the rejection.
func TestVerify_WithdrawnGrantWithoutLeader(t *testing.T) {
	team := func(w *fixture, name string) {
		var ns corev1.Namespace
		w.Must(api.Get(w.Ctx, client.ObjectKey{Name: w.Namespace}, &ns))
		ns.Labels["team"] = name
		w.Must(api.Update(w.Ctx, &ns))
	}
	bySelector := func(w *fixture) {
		team(w, "search")
		w.MustEditClient(func(c *v1alpha1.Client) {
			c.Spec.Grants[0].Namespaces = v1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "search"}}}
		})
	}
	for name, x := range map[string]struct {
		ofUser       bool
		before, away func(*fixture)
		want         verify.Verdict
	}{
		"the grant names another namespace": {away: func(w *fixture) {
			w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Grants[0].Namespaces.Names = []string{"another"} })
		}, want: verify.NamespaceNotGranted},
		"the grant is deleted": {away: func(w *fixture) {
			w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Grants = nil })
		}, want: verify.NamespaceNotGranted},
		"the role is out of the grant": {away: func(w *fixture) {
			w.MustEditClient(func(c *v1alpha1.Client) { c.Spec.Grants[0].Roles = []v1alpha1.RoleName{"second"} })
		}, want: verify.RoleMissing},
		"the selector selects other labels": {before: bySelector, away: func(w *fixture) {
			w.MustEditClient(func(c *v1alpha1.Client) {
				c.Spec.Grants[0].Namespaces.Selector.MatchLabels = map[string]string{"team": "other"}
			})
		}, want: verify.NamespaceNotGranted},
		"the namespace has another label": {
			before: bySelector, away: func(w *fixture) { team(w, "other") }, want: verify.NamespaceNotGranted,
		},
		"the user lists the namespace no more": {ofUser: true, away: func(w *fixture) {
			w.EditUser("alice", func(u *v1alpha1.User) { u.Spec.Namespaces.Names = []string{"another"} })
		}, want: verify.NamespaceNotGranted},
		"the user is deleted": {ofUser: true, away: func(w *fixture) { w.DeleteUser() }, want: verify.UserDisabled},
		"the user is deleted, and a namesake lists the namespace": {ofUser: true, away: func(w *fixture) {
			w.DeleteUser()
			w.CreateUser(nil)
		}, want: verify.UserDisabled},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			if x.before != nil {
				x.before(w)
			}
			if x.ofUser {
				w.CreateUser(nil)
				w.Must(w.DeclareOfUser(""))
				w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.SourceRanges = nil }))
			} else {
				w.Must(w.DeclareToken())
			}
			w.Must(w.NewOperator(api, api).Settle())
			var secret corev1.Secret
			w.Must(api.Get(w.Ctx, w.Key(), &secret))
			index := w.startVerifier()
			verdict := func() verify.Verdict {
				_, v := index.Verify(w.Now, string(secret.Data["token"]), verify.Facts{Roles: []string{"primary"}})
				return v
			}
			if v := verdict(); v != verify.Valid {
				t.Fatalf("%s before", v)
			}
			x.away(w)
			err := wait.PollUntilContextTimeout(w.Ctx, 5*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
				return verdict() == x.want, nil
			})
			if err != nil {
				t.Errorf("%s, want %s", verdict(), x.want)
			}
		})
	}
}
