package applicationtoken_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/gc"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/record/recordtest"
	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/internal/token"
)

// api reads and writes the real API server, with every permission and without a cache.
var api client.WithWatch

// admin is the configuration of an administrator, for tests that need a cache.
var admin *rest.Config

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard()) // the tests check the errors themselves
	os.Exit(func() int {
		c, err := controlplane.Start()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() {
			if err := c.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
		admin = c.Admin
		scheme := runtime.NewScheme()
		if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if api, err = client.NewWithWatch(c.Admin, client.Options{Scheme: scheme}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// fixture is the fixture of one token in namespaces of its own. A test starts each pass, and steps
// the clock.
type fixture struct {
	t            *testing.T
	ctx          context.Context
	clientName   string // name of the Client
	namespace    string // namespace of the token
	ownNamespace string // namespace of the operator
	now          time.Time
	limiter      *gc.Limiter
	writes       atomic.Int64 // of all operators of this fixture
	history      history
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	w := &fixture{
		t: t, ctx: t.Context(), now: time.Now().Truncate(time.Second),
		limiter: gc.NewLimiter(gc.Rate, gc.Burst),
		history: history{alive: map[string]time.Time{}, seen: map[string]bool{}, gone: map[string]bool{}},
	}
	for _, ns := range []struct {
		prefix string
		name   *string
	}{{"shop-", &w.namespace}, {"own-", &w.ownNamespace}} {
		obj := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: ns.prefix}}
		w.must(api.Create(w.ctx, obj))
		*ns.name = obj.Name
	}
	w.clientName = strings.Replace(w.namespace, "shop", "acme", 1)
	w.must(api.Create(w.ctx, &v1alpha1.Client{
		ObjectMeta: metav1.ObjectMeta{Name: w.clientName},
		Spec: v1alpha1.ClientSpec{
			Roles: []v1alpha1.Role{{Name: "primary", Permissions: []v1alpha1.Permission{"search.*"}}, {Name: "second"}},
			Grants: []v1alpha1.Grant{{
				Namespaces: v1alpha1.NamespaceSelection{Names: []string{w.namespace}}, Roles: []v1alpha1.RoleName{"primary", "second"},
			}},
		},
	}))
	return w
}

func (w *fixture) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *fixture) key() types.NamespacedName {
	return types.NamespacedName{Namespace: w.namespace, Name: "indexer"}
}

// declareToken creates the token, with the trigger and the retirement that the lifecycle changes.
func (w *fixture) declareToken() error {
	return api.Create(w.ctx, &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "indexer"},
		Spec: v1alpha1.ApplicationTokenSpec{
			ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.clientName)},
			Roles:     []v1alpha1.RoleName{"primary"},
			Rotation: v1alpha1.Rotation{Trigger: "1", Retire: &v1alpha1.Retire{
				MinOverlap: "10m", QuietPeriod: "1h", MaxOverlap: "24h",
			}},
		},
	})
}

// editToken changes the token as its owner would.
func (w *fixture) editToken(change func(*v1alpha1.ApplicationToken)) error {
	for {
		var at v1alpha1.ApplicationToken
		if err := api.Get(w.ctx, w.key(), &at); err != nil {
			return err
		}
		change(&at)
		if err := api.Update(w.ctx, &at); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// store returns the records of the fixture, as the API server has them.
func (w *fixture) store() *kube.Store { return kube.New(recordtest.Direct(api), api, w.ownNamespace) }

// recordsLeft counts the records of the fixture.
func (w *fixture) recordsLeft() int {
	var list v1alpha1.TokenRecordList
	w.must(api.List(w.ctx, &list, client.InNamespace(w.ownNamespace)))
	return len(list.Items)
}

// newestRecordName returns the name of the newest record of the fixture.
func (w *fixture) newestRecordName() string {
	w.t.Helper()
	var list v1alpha1.TokenRecordList
	w.must(api.List(w.ctx, &list, client.InNamespace(w.ownNamespace)))
	newest := -1
	for i := range list.Items {
		if newest < 0 || list.Items[i].Spec.Version > list.Items[newest].Spec.Version {
			newest = i
		}
	}
	if newest < 0 {
		w.t.Fatal("there is no record")
	}
	return list.Items[newest].Name
}

func (w *fixture) tokenInSecret() token.Token {
	w.t.Helper()
	var secret corev1.Secret
	w.must(api.Get(w.ctx, w.key(), &secret))
	tok, err := token.Parse(string(secret.Data["token"]))
	w.must(err)
	return tok
}

func (w *fixture) setPolicy(p v1alpha1.TokenPolicy) {
	w.t.Helper()
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.clientName}, &c))
	c.Spec.Tokens = p
	w.must(api.Update(w.ctx, &c))
}

// editClient changes the Client as its platform team would.
func (w *fixture) editClient(change func(*v1alpha1.Client)) error {
	c := w.theClient()
	change(c)
	return api.Update(w.ctx, c)
}

func (w *fixture) theClient() *v1alpha1.Client {
	w.t.Helper()
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.clientName}, &c))
	return &c
}

func (w *fixture) mustEditClient(change func(*v1alpha1.Client)) {
	w.t.Helper()
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.clientName}, &c))
	change(&c)
	w.must(api.Update(w.ctx, &c))
}

// otherClient creates a second client, whose name sorts after that of the fixture's client.
func (w *fixture) otherClient() string {
	w.t.Helper()
	c := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: w.clientName + "-other"}, Spec: v1alpha1.ClientSpec{Roles: []v1alpha1.Role{{Name: "primary"}}}}
	w.must(api.Create(w.ctx, c))
	return c.Name
}

func (w *fixture) token() *v1alpha1.ApplicationToken {
	w.t.Helper()
	var at v1alpha1.ApplicationToken
	w.must(api.Get(w.ctx, w.key(), &at))
	return &at
}

// readiness returns the reason and message of the token's Ready condition.
func readiness(at *v1alpha1.ApplicationToken) (reason, message string) {
	if c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return c.Reason, c.Message
	}
	return "", ""
}

// newestRecord returns the newest record of the fixture.
func (w *fixture) newestRecord() record.Record {
	w.t.Helper()
	r, err := w.store().Get(w.ctx, w.newestRecordName())
	w.must(err)
	return r
}
