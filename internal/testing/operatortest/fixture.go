package operatortest

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/gc"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/record/recordtest"
	"github.com/apptoken/operator/internal/token"
)

// Fixture is the fixture of one token in namespaces of its own. A test starts each pass, and steps
// the clock.
type Fixture struct {
	T            *testing.T
	Ctx          context.Context
	api          client.WithWatch
	ClientName   string // name of the Client
	Namespace    string // namespace of the token
	OwnNamespace string // namespace of the operator
	Now          time.Time
	Limiter      *gc.Limiter
	Writes       atomic.Int64 // of all operators of this fixture
	History      History
}

// New creates the namespaces and a Client that grants its roles to the namespace of the token. The
// API server is read and written with every permission and without a cache.
func New(t *testing.T, api client.WithWatch) *Fixture {
	t.Helper()
	w := &Fixture{
		T: t, Ctx: t.Context(), api: api, Now: time.Now().Truncate(time.Second),
		Limiter: gc.NewLimiter(gc.Rate, gc.Burst),
		History: History{alive: map[string]time.Time{}, seen: map[string]bool{}, gone: map[string]bool{}},
	}
	for _, ns := range []struct {
		prefix string
		name   *string
	}{{"shop-", &w.Namespace}, {"own-", &w.OwnNamespace}} {
		obj := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: ns.prefix}}
		w.Must(api.Create(w.Ctx, obj))
		*ns.name = obj.Name
	}
	w.ClientName = strings.Replace(w.Namespace, "shop", "acme", 1)
	w.Must(api.Create(w.Ctx, &v1alpha1.Client{
		ObjectMeta: metav1.ObjectMeta{Name: w.ClientName},
		Spec: v1alpha1.ClientSpec{
			Roles: []v1alpha1.Role{{Name: "primary", Permissions: []v1alpha1.Permission{"search.*"}}, {Name: "second"}},
			Grants: []v1alpha1.Grant{{
				Namespaces: v1alpha1.NamespaceSelection{Names: []string{w.Namespace}}, Roles: []v1alpha1.RoleName{"primary", "second"},
			}},
		},
	}))
	return w
}

// Must ends the test if err is not nil.
func (w *Fixture) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Key returns the name of the token and of its Secret.
func (w *Fixture) Key() types.NamespacedName {
	return types.NamespacedName{Namespace: w.Namespace, Name: "indexer"}
}

// DeclareToken creates the token, with the trigger and the retirement that the lifecycle changes.
func (w *Fixture) DeclareToken() error {
	return w.api.Create(w.Ctx, &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "indexer"},
		Spec: v1alpha1.ApplicationTokenSpec{
			ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.ClientName)},
			Roles:     []v1alpha1.RoleName{"primary"},
			Rotation: v1alpha1.Rotation{Trigger: "1", Retire: &v1alpha1.Retire{
				MinOverlap: "10m", QuietPeriod: "1h", MaxOverlap: "24h",
			}},
		},
	})
}

// EditToken changes the token as its owner would.
func (w *Fixture) EditToken(change func(*v1alpha1.ApplicationToken)) error {
	for {
		var at v1alpha1.ApplicationToken
		if err := w.api.Get(w.Ctx, w.Key(), &at); err != nil {
			return err
		}
		change(&at)
		if err := w.api.Update(w.Ctx, &at); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// Store returns the records of the fixture, as the API server has them.
func (w *Fixture) Store() *kube.Store {
	return kube.New(recordtest.Direct(w.api), w.api, w.OwnNamespace)
}

// RecordsLeft counts the records of the fixture.
func (w *Fixture) RecordsLeft() int {
	var list v1alpha1.TokenRecordList
	w.Must(w.api.List(w.Ctx, &list, client.InNamespace(w.OwnNamespace)))
	return len(list.Items)
}

// NewestRecordName returns the name of the newest record of the fixture.
func (w *Fixture) NewestRecordName() string {
	w.T.Helper()
	var list v1alpha1.TokenRecordList
	w.Must(w.api.List(w.Ctx, &list, client.InNamespace(w.OwnNamespace)))
	newest := -1
	for i := range list.Items {
		if newest < 0 || list.Items[i].Spec.Version > list.Items[newest].Spec.Version {
			newest = i
		}
	}
	if newest < 0 {
		w.T.Fatal("there is no record")
	}
	return list.Items[newest].Name
}

// TokenInSecret returns the token that the Secret holds.
func (w *Fixture) TokenInSecret() token.Token {
	w.T.Helper()
	var secret corev1.Secret
	w.Must(w.api.Get(w.Ctx, w.Key(), &secret))
	tok, err := token.Parse(string(secret.Data["token"]))
	w.Must(err)
	return tok
}

// SetPolicy sets spec.tokens of the Client.
func (w *Fixture) SetPolicy(p v1alpha1.TokenPolicy) {
	w.T.Helper()
	var c v1alpha1.Client
	w.Must(w.api.Get(w.Ctx, types.NamespacedName{Name: w.ClientName}, &c))
	c.Spec.Tokens = p
	w.Must(w.api.Update(w.Ctx, &c))
}

// EditClient changes the Client as its platform team would.
func (w *Fixture) EditClient(change func(*v1alpha1.Client)) error {
	c := w.TheClient()
	change(c)
	return w.api.Update(w.Ctx, c)
}

// TheClient returns the Client as it is now.
func (w *Fixture) TheClient() *v1alpha1.Client {
	w.T.Helper()
	var c v1alpha1.Client
	w.Must(w.api.Get(w.Ctx, types.NamespacedName{Name: w.ClientName}, &c))
	return &c
}

// MustEditClient is EditClient that ends the test on an error.
func (w *Fixture) MustEditClient(change func(*v1alpha1.Client)) {
	w.T.Helper()
	var c v1alpha1.Client
	w.Must(w.api.Get(w.Ctx, types.NamespacedName{Name: w.ClientName}, &c))
	change(&c)
	w.Must(w.api.Update(w.Ctx, &c))
}

// OtherClient creates a second client, whose name sorts after that of the fixture's client.
func (w *Fixture) OtherClient() string {
	w.T.Helper()
	c := &v1alpha1.Client{ObjectMeta: metav1.ObjectMeta{Name: w.ClientName + "-other"}, Spec: v1alpha1.ClientSpec{Roles: []v1alpha1.Role{{Name: "primary"}}}}
	w.Must(w.api.Create(w.Ctx, c))
	return c.Name
}

// Token returns the token as it is now.
func (w *Fixture) Token() *v1alpha1.ApplicationToken {
	w.T.Helper()
	var at v1alpha1.ApplicationToken
	w.Must(w.api.Get(w.Ctx, w.Key(), &at))
	return &at
}

// Readiness returns the reason and message of the token's Ready condition.
func Readiness(at *v1alpha1.ApplicationToken) (reason, message string) {
	if c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return c.Reason, c.Message
	}
	return "", ""
}

// NewestRecord returns the newest record of the fixture.
func (w *Fixture) NewestRecord() record.Record {
	w.T.Helper()
	r, err := w.Store().Get(w.Ctx, w.NewestRecordName())
	w.Must(err)
	return r
}
