package applicationtoken_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// cloneBackup holds what a backup has of a clone and its source.
type cloneBackup struct {
	w      *fixture
	client *v1alpha1.Client
	source *v1alpha1.ApplicationToken
	clone  *v1alpha1.ApplicationToken
	secret *corev1.Secret
	// records holds the record of the current version and, if the token was rotated, that of its
	// predecessor.
	records map[string]*v1alpha1.TokenRecord
}

// declareClone declares the token as a clone of a source, which these tests do not reconcile.
func (w *fixture) declareClone() {
	w.T.Helper()
	spec := v1alpha1.ApplicationTokenSpec{
		ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.ClientName)}, Roles: []v1alpha1.RoleName{"primary"},
		Permissions: []v1alpha1.Permission{"search.query"}, SourceRanges: []v1alpha1.SourceRange{"10.0.0.0/8"},
	}
	w.Must(api.Create(w.Ctx, &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "origin"}, Spec: spec}))
	w.Must(api.Create(w.Ctx, &v1alpha1.ApplicationToken{
		ObjectMeta: objectMeta(w), Spec: v1alpha1.ApplicationTokenSpec{CloneFrom: &v1alpha1.Reference{Name: "origin"}},
	}))
}

// startCounting starts an operator whose writes are counted, so that settle ends when it writes
// nothing.
func (w *fixture) startCounting() *operatortest.Operator {
	c := w.Faults(0, operatortest.FaultMode{}).Wrap(api)
	return w.NewOperator(c, c)
}

// backUpAndDelete takes a backup of the clone and deletes everything in it.
func (w *fixture) backUpAndDelete() *cloneBackup {
	w.T.Helper()
	b := &cloneBackup{
		w: w, client: w.TheClient(), source: &v1alpha1.ApplicationToken{}, clone: w.Token(), secret: &corev1.Secret{}, records: map[string]*v1alpha1.TokenRecord{},
	}
	w.Must(api.Get(w.Ctx, types.NamespacedName{Namespace: w.Namespace, Name: "origin"}, b.source))
	w.Must(api.Get(w.Ctx, w.Key(), b.secret))
	var list v1alpha1.TokenRecordList
	w.Must(api.List(w.Ctx, &list, client.InNamespace(w.OwnNamespace)))
	for i := range list.Items {
		name := "predecessor"
		if list.Items[i].Name == b.clone.Status.Current.Record {
			name = "record"
		}
		b.records[name] = &list.Items[i]
	}
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Finalizers = nil }))
	w.Must(api.Delete(w.Ctx, b.clone.DeepCopy()))
	w.Must(api.Delete(w.Ctx, b.source.DeepCopy()))
	w.Must(api.Delete(w.Ctx, b.secret.DeepCopy()))
	w.Must(api.Delete(w.Ctx, b.client.DeepCopy()))
	for _, r := range b.records {
		w.Must(api.Delete(w.Ctx, r.DeepCopy()))
	}
	return b
}

// restore restores one object as documented: Secrets without their owners, ApplicationTokens
// without their status.
func (b *cloneBackup) restore(object string) {
	b.w.T.Helper()
	switch object {
	case "record", "predecessor":
		r := b.records[object].DeepCopy()
		r.ObjectMeta = metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name}
		b.w.Must(api.Create(b.w.Ctx, r))
	case "client":
		c := b.client.DeepCopy()
		c.ObjectMeta, c.Status = metav1.ObjectMeta{Name: c.Name}, v1alpha1.ClientStatus{}
		b.w.Must(api.Create(b.w.Ctx, c))
	case "secret":
		s := b.secret.DeepCopy()
		s.ObjectMeta = metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name, Labels: s.Labels, Annotations: s.Annotations}
		err := api.Create(b.w.Ctx, s)
		if apierrors.IsAlreadyExists(err) {
			s.ResourceVersion = ""
			err = api.Update(b.w.Ctx, s)
		}
		b.w.Must(err)
	default:
		at := b.clone
		if object == "source" {
			at = b.source
		}
		at = at.DeepCopy()
		at.ObjectMeta, at.Status = metav1.ObjectMeta{Namespace: at.Namespace, Name: at.Name}, v1alpha1.ApplicationTokenStatus{}
		b.w.Must(api.Create(b.w.Ctx, at))
	}
}

// secretText returns the token in the Secret.
func (w *fixture) secretText() string {
	w.T.Helper()
	var s corev1.Secret
	w.Must(api.Get(w.Ctx, w.Key(), &s))
	return string(s.Data["token"])
}

func permutations(of []string) [][]string {
	if len(of) == 0 {
		return [][]string{nil}
	}
	var all [][]string
	for i, first := range of {
		for _, rest := range permutations(slices.Delete(slices.Clone(of), i, i+1)) {
			all = append(all, append([]string{first}, rest...))
		}
	}
	return all
}

// restoreOrders returns every order of the objects of a clone. The record of its predecessor and
// the Client take each position in turn.
func restoreOrders() [][]string {
	orders := permutations([]string{"record", "secret", "clone", "source"})
	for i, order := range orders {
		orders[i] = slices.Insert(slices.Insert(order, i%5, "predecessor"), i/4, "client")
	}
	return orders
}

// The operator runs while a backup is restored, one object after the other. If the clone, its
// source and the Client are back first, it issues a new token, and the Secret is restored over it.
func TestRestore_CloneInEveryOrder(t *testing.T) {
	for _, order := range restoreOrders() {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Now = w.Now.Add(-time.Hour) // a restore creates the record later than its issue
			w.declareClone()
			o := w.startCounting()
			w.Must(o.Settle())
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
			w.Must(o.Settle())
			issued := w.secretText()
			b := w.backUpAndDelete()
			for _, object := range order {
				b.restore(object)
				w.Must(o.Pass())
				var at v1alpha1.ApplicationToken
				if err := api.Get(w.Ctx, w.Key(), &at); err == nil && at.Status.Cloned != nil && at.Status.Cloned.Client == "" {
					t.Errorf("after the %s, status.cloned has no client", object)
				}
			}
			w.Must(o.Settle())
			at := w.Token()
			if reason, message := operatortest.Readiness(at); reason != v1alpha1.ReasonIssued {
				t.Fatalf("Ready is %s: %s", reason, message)
			}
			if c := at.Status.Cloned; c == nil || c.From != "origin" || c.Client != w.ClientName || len(c.Roles) != 1 || len(c.Permissions) != 1 || len(c.SourceRanges) != 1 {
				t.Errorf("status.cloned is %v", c)
			}
			if w.secretText() != issued {
				t.Error("the token is another")
			}
			if ps := at.Status.Predecessors; len(ps) != 1 || ps[0].Record != b.records["predecessor"].Name {
				t.Errorf("the predecessors are %v", ps)
			}
			w.Must(api.Delete(w.Ctx, at))
			w.Must(o.Settle())
			w.Now = time.Now().Add(11 * time.Minute) // the record of a Secret that was replaced is an orphan until then
			w.Must(o.Settle())
			if n := w.RecordsLeft(); n != 0 {
				t.Errorf("%d records are left", n)
			}
		})
	}
}

// An earlier release wrote status.cloned without a client if a clone was restored before its
// source.
func TestRestore_CloneWithIncompleteStatus(t *testing.T) {
	for name, sourceBack := range map[string]bool{"with its source": true, "without its source": false} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.Now = w.Now.Add(-time.Hour)
			w.declareClone()
			o := w.startCounting()
			w.Must(o.Settle())
			issued := w.secretText()
			at := w.Token()
			at.Status.Cloned = &v1alpha1.ClonedGrants{From: "origin"}
			w.Must(api.Status().Update(w.Ctx, at))
			if !sourceBack {
				w.Must(api.Delete(w.Ctx, &v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "origin"}}))
			}
			w.Must(o.Settle())
			at = w.Token()
			if c := at.Status.Cloned; c == nil || c.Client != w.ClientName || w.secretText() != issued {
				t.Errorf("status.cloned is %v; the token is the same: %t", c, w.secretText() == issued)
			}
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
			w.Must(o.Settle())
			if w.secretText() == issued {
				t.Error("it does not rotate")
			}
			w.Must(api.Delete(w.Ctx, w.Token()))
			w.Must(o.Settle())
			if n := w.RecordsLeft(); n != 0 {
				t.Errorf("%d records are left", n)
			}
		})
	}
}

// An edit that turns a token into a clone is no loss of the status: the record shows nothing about
// the source.
func TestClone_EditTakesGrantsOfTheSource(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	o := w.startCounting()
	w.Must(o.Settle())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
		at.Spec.ClientRef, at.Spec.Roles, at.Spec.CloneFrom = nil, nil, &v1alpha1.Reference{Name: "origin"}
	}))
	for range 2 {
		w.Must(o.Settle())
	}
	if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonSourceMissing {
		t.Errorf("without the source, Ready is %s", reason)
	}
	w.Must(api.Create(w.Ctx, &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "origin"},
		Spec: v1alpha1.ApplicationTokenSpec{
			ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.ClientName)}, Roles: []v1alpha1.RoleName{"second"},
		},
	}))
	w.Must(o.Settle())
	if c := w.Token().Status.Cloned; c == nil || !slices.Equal(c.Roles, []v1alpha1.RoleName{"second"}) {
		t.Errorf("status.cloned is %v", c)
	}
}
