package applicationtoken_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
)

// loseStatus empties the status of a token, as a restore with an empty status does.
func (w *fixture) loseStatus(name string) {
	w.t.Helper()
	at := w.getToken(name)
	at.Status = v1alpha1.ApplicationTokenStatus{}
	w.must(api.Status().Update(w.ctx, at))
}

func TestStatusLost_IsRebuilt(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	o := w.startWithCache()
	w.must(o.settle())
	w.must(w.editToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	w.must(o.settle())
	before, written := w.token().Status, w.secretResourceVersion()
	w.loseStatus("indexer")
	w.must(o.settle())
	after := w.token().Status
	if w.secretResourceVersion() != written || w.recordsLeft() != 2 {
		t.Errorf("the Secret was written: %t; %d records", w.secretResourceVersion() != written, w.recordsLeft())
	}
	if after.Current == nil || after.Current.Record != before.Current.Record || after.Rotations != before.Rotations ||
		len(after.Predecessors) != 1 || after.Predecessors[0].Record != before.Predecessors[0].Record || after.SecretName != "indexer" || after.Client != before.Client {
		t.Errorf("the status was %v, and is %v", before, after)
	}
}

func TestStatusLost_RenameKeepsTheToken(t *testing.T) {
	for name, c := range map[string]struct {
		secretTakenMessage bool // a foreign Secret has the new name
	}{"to a free name": {}, "to a taken name": {true}} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.must(w.declareToken())
			o := w.startWithCache()
			w.must(o.settle())
			issued := w.secretText()
			renamed := types.NamespacedName{Namespace: w.namespace, Name: "renamed"}
			if c.secretTakenMessage {
				w.must(api.Create(w.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "renamed"}}))
			}
			w.renameSecret("indexer", "renamed")
			w.loseStatus("indexer")
			w.must(o.settle())
			if c.secretTakenMessage {
				if reason, _ := readiness(w.token()); reason != v1alpha1.ReasonSecretTaken || w.secretText() != issued || w.token().Status.SecretName != "indexer" {
					t.Errorf("Ready is %s; the token stays: %t; status.secretName is %q", reason, w.secretText() == issued, w.token().Status.SecretName)
				}
				w.must(api.Delete(w.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "renamed"}}))
				w.must(o.settle())
			}
			var s corev1.Secret
			w.must(api.Get(w.ctx, renamed, &s))
			err := api.Get(w.ctx, w.key(), &corev1.Secret{})
			if string(s.Data["token"]) != issued || !apierrors.IsNotFound(err) || w.recordsLeft() != 1 || w.token().Status.Rotations != 0 {
				t.Errorf("the token is the same: %t; the former Secret: %v; %d records", string(s.Data["token"]) == issued, err, w.recordsLeft())
			}
		})
	}
}

// A copy of the Secret has the same marks, but is not the Secret of a former name.
func TestStatusLost_CopyOfTheSecretStays(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	o := w.startWithCache()
	w.must(o.settle())
	issued := w.secretText()
	var s corev1.Secret
	w.must(api.Get(w.ctx, w.key(), &s))
	s.ObjectMeta = metav1.ObjectMeta{Namespace: s.Namespace, Name: "copy", Labels: s.Labels, Annotations: s.Annotations, OwnerReferences: s.OwnerReferences}
	w.must(api.Create(w.ctx, &s))
	w.editSecret(func(s *corev1.Secret) { delete(s.Labels, v1alpha1.LabelManaged) })
	w.loseStatus("indexer")
	w.must(o.settle())
	err := api.Get(w.ctx, types.NamespacedName{Namespace: w.namespace, Name: "copy"}, &s)
	if err != nil || w.secretText() != issued || !w.isMarked() || w.token().Status.SecretName != "indexer" {
		t.Errorf("the copy: %v; the token is the same: %t, in Secret %q", err, w.secretText() == issued, w.token().Status.SecretName)
	}
}

func TestStatusLost_DeletionFindsTheFormerSecret(t *testing.T) {
	w := newFixture(t)
	w.must(w.declareToken())
	o := w.startWithCache()
	w.must(o.settle())
	w.renameSecret("indexer", "renamed")
	w.loseStatus("indexer")
	w.must(api.Delete(w.ctx, w.token()))
	w.must(o.settle())
	if err := api.Get(w.ctx, w.key(), &corev1.Secret{}); !apierrors.IsNotFound(err) || w.recordsLeft() != 0 {
		t.Errorf("the Secret: %v; %d records are left", err, w.recordsLeft())
	}
}

// A waiting token does not take the quota of a token that has only lost its status, or a field of
// it.
func TestStatusLost_QuotaIsKept(t *testing.T) {
	for name, lose := range map[string]func(*v1alpha1.ApplicationTokenStatus){
		"all of it":    func(s *v1alpha1.ApplicationTokenStatus) { *s = v1alpha1.ApplicationTokenStatus{} },
		"the client":   func(s *v1alpha1.ApplicationTokenStatus) { s.Client = "" },
		"the versions": func(s *v1alpha1.ApplicationTokenStatus) { s.Current, s.Predecessors = nil, nil },
		"all but the conditions": func(s *v1alpha1.ApplicationTokenStatus) {
			*s = v1alpha1.ApplicationTokenStatus{Conditions: s.Conditions}
		},
		"all but its generation": func(s *v1alpha1.ApplicationTokenStatus) {
			*s = v1alpha1.ApplicationTokenStatus{ObservedGeneration: s.ObservedGeneration}
		},
	} {
		t.Run(name, func(t *testing.T) { testQuotaIsKept(t, lose) })
	}
}

func testQuotaIsKept(t *testing.T, lose func(*v1alpha1.ApplicationTokenStatus)) {
	t.Helper()
	w := newFixture(t)
	w.must(w.editClient(func(c *v1alpha1.Client) { c.Spec.Tokens.MaxCount = new(int32(1)) }))
	w.must(w.declareToken())
	o := w.newOperator(api, api)
	w.reconcile(o, "indexer")
	before := w.token()
	w.must(api.Create(w.ctx, &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "waits"},
		Spec:       v1alpha1.ApplicationTokenSpec{ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.clientName)}, Roles: []v1alpha1.RoleName{"primary"}},
	}))
	feed := o.tokens.Quota.EventHandler()
	feed.OnAdd(before, true)
	at := w.token()
	lose(&at.Status)
	w.must(api.Status().Update(w.ctx, at))
	feed.OnUpdate(before, w.token())
	w.now = w.now.Add(time.Minute)
	w.reconcile(o, "waits", "indexer")
	if reason, message := readiness(w.token()); reason != v1alpha1.ReasonIssued || w.newestRecord().Suspended {
		t.Errorf("Ready is %s: %s", reason, message)
	}
}
