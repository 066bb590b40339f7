package applicationtoken_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// loseStatus empties the status of a token, as a restore with an empty status does.
func (w *fixture) loseStatus(name string) {
	w.T.Helper()
	at := w.getToken(name)
	at.Status = v1alpha1.ApplicationTokenStatus{}
	w.Must(api.Status().Update(w.Ctx, at))
}

func TestStatusLost_IsRebuilt(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	o := w.startWithCache()
	w.Must(o.Settle())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	w.Must(o.Settle())
	before, written := w.Token().Status, w.secretResourceVersion()
	w.loseStatus("indexer")
	w.Must(o.Settle())
	after := w.Token().Status
	if w.secretResourceVersion() != written || w.RecordsLeft() != 2 {
		t.Errorf("the Secret was written: %t; %d records", w.secretResourceVersion() != written, w.RecordsLeft())
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
			w.Must(w.DeclareToken())
			o := w.startWithCache()
			w.Must(o.Settle())
			issued := w.secretText()
			renamed := types.NamespacedName{Namespace: w.Namespace, Name: "renamed"}
			if c.secretTakenMessage {
				w.Must(api.Create(w.Ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "renamed"}}))
			}
			w.renameSecret("indexer", "renamed")
			w.loseStatus("indexer")
			w.Must(o.Settle())
			if c.secretTakenMessage {
				if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonSecretTaken || w.secretText() != issued || w.Token().Status.SecretName != "indexer" {
					t.Errorf("Ready is %s; the token stays: %t; status.secretName is %q", reason, w.secretText() == issued, w.Token().Status.SecretName)
				}
				w.Must(api.Delete(w.Ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "renamed"}}))
				w.Must(o.Settle())
			}
			var s corev1.Secret
			w.Must(api.Get(w.Ctx, renamed, &s))
			err := api.Get(w.Ctx, w.Key(), &corev1.Secret{})
			if string(s.Data["token"]) != issued || !apierrors.IsNotFound(err) || w.RecordsLeft() != 1 || w.Token().Status.Rotations != 0 {
				t.Errorf("the token is the same: %t; the former Secret: %v; %d records", string(s.Data["token"]) == issued, err, w.RecordsLeft())
			}
		})
	}
}

// A copy of the Secret has the same marks, but is not the Secret of a former name.
func TestStatusLost_CopyOfTheSecretStays(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	o := w.startWithCache()
	w.Must(o.Settle())
	issued := w.secretText()
	var s corev1.Secret
	w.Must(api.Get(w.Ctx, w.Key(), &s))
	s.ObjectMeta = metav1.ObjectMeta{Namespace: s.Namespace, Name: "copy", Labels: s.Labels, Annotations: s.Annotations, OwnerReferences: s.OwnerReferences}
	w.Must(api.Create(w.Ctx, &s))
	w.editSecret(func(s *corev1.Secret) { delete(s.Labels, v1alpha1.LabelManaged) })
	w.loseStatus("indexer")
	w.Must(o.Settle())
	err := api.Get(w.Ctx, types.NamespacedName{Namespace: w.Namespace, Name: "copy"}, &s)
	if err != nil || w.secretText() != issued || !w.isMarked() || w.Token().Status.SecretName != "indexer" {
		t.Errorf("the copy: %v; the token is the same: %t, in Secret %q", err, w.secretText() == issued, w.Token().Status.SecretName)
	}
}

func TestStatusLost_DeletionFindsTheFormerSecret(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	o := w.startWithCache()
	w.Must(o.Settle())
	w.renameSecret("indexer", "renamed")
	w.loseStatus("indexer")
	w.Must(api.Delete(w.Ctx, w.Token()))
	w.Must(o.Settle())
	if err := api.Get(w.Ctx, w.Key(), &corev1.Secret{}); !apierrors.IsNotFound(err) || w.RecordsLeft() != 0 {
		t.Errorf("the Secret: %v; %d records are left", err, w.RecordsLeft())
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
	w.Must(w.EditClient(func(c *v1alpha1.Client) { c.Spec.Tokens.MaxCount = new(int32(1)) }))
	w.Must(w.DeclareToken())
	o := w.NewOperator(api, api)
	w.reconcile(o, "indexer")
	before := w.Token()
	w.Must(api.Create(w.Ctx, &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "waits"},
		Spec:       v1alpha1.ApplicationTokenSpec{ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.ClientName)}, Roles: []v1alpha1.RoleName{"primary"}},
	}))
	feed := o.Tokens.Quota.EventHandler()
	feed.OnAdd(before, true)
	at := w.Token()
	lose(&at.Status)
	w.Must(api.Status().Update(w.Ctx, at))
	feed.OnUpdate(before, w.Token())
	w.Now = w.Now.Add(time.Minute)
	w.reconcile(o, "waits", "indexer")
	if reason, message := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonIssued || w.NewestRecord().Suspended {
		t.Errorf("Ready is %s: %s", reason, message)
	}
}
