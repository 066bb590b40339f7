package applicationtoken_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

var offerLabels, offerAnnotations = map[string]string{v1alpha1.LabelManaged: "true"}, map[string]string{v1alpha1.AnnotationAdopt: "indexer"}

// manifestSyncs returns the ways in which tools apply a manifest from Git to the cluster.
func (w *fixture) manifestSyncs() map[string]func(data map[string]string) {
	return map[string]func(data map[string]string){
		"server-side apply": func(data map[string]string) {
			w.T.Helper()
			manifest := applycorev1.Secret("indexer", w.Namespace).WithLabels(offerLabels).WithAnnotations(offerAnnotations).WithData(encodeData(data))
			w.Must(api.Apply(w.Ctx, manifest, client.FieldOwner("gitops"), client.ForceOwnership))
		},
		"replace": func(data map[string]string) {
			w.T.Helper()
			s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "indexer", Labels: offerLabels, Annotations: offerAnnotations}, Data: encodeData(data)}
			if err := api.Update(w.Ctx, s); client.IgnoreNotFound(err) != nil {
				w.T.Fatal(err)
			} else if err != nil {
				w.Must(api.Create(w.Ctx, s))
			}
		},
	}
}

func encodeData(data map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for key, value := range data {
		out[key] = []byte(value)
	}
	return out
}

func (w *fixture) secretResourceVersion() string {
	w.T.Helper()
	var s corev1.Secret
	w.Must(api.Get(w.Ctx, w.Key(), &s))
	return s.ResourceVersion
}

func TestAdopt_ServerSideApplySeesNoDifference(t *testing.T) {
	for name, data := range map[string]map[string]string{
		"without data":          nil,
		"with a key of its own": {"user": "indexer"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			sync := w.manifestSyncs()["server-side apply"]
			sync(data)
			w.Must(w.DeclareToken())
			o := w.startWithCache()
			w.Must(o.Settle())
			issued, written := w.secretText(), w.secretResourceVersion()
			for range 3 {
				sync(data)
				w.Must(o.Settle())
			}
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Labels = map[string]string{"a": "b"} }))
			w.Must(o.Settle())
			var s corev1.Secret
			w.Must(api.Get(w.Ctx, w.Key(), &s))
			if w.secretText() != issued || s.ResourceVersion != written || s.Annotations[v1alpha1.AnnotationAdopt] != "indexer" || len(s.Data) != 1+len(data) {
				t.Errorf("the token is the same: %t; written again: %t; annotations %v, %d keys", w.secretText() == issued, s.ResourceVersion != written, s.Annotations, len(s.Data))
			}
			if reason, message := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonIssued || w.RecordsLeft() != 1 || !w.isMarked() {
				t.Errorf("Ready is %s: %s; %d records", reason, message, w.RecordsLeft())
			}
		})
	}
}

// A manifest with data for the operator's key overwrites the token at each sync.
func TestAdopt_SyncsOfDataMakeNoNewToken(t *testing.T) {
	for how := range (&fixture{}).manifestSyncs() {
		t.Run(how, func(t *testing.T) {
			w := newFixture(t)
			sync := w.manifestSyncs()[how]
			data := map[string]string{"token": "placeholder", "user": "indexer"}
			sync(data)
			w.Must(w.DeclareToken())
			o := w.startWithCache()
			w.Must(o.Settle())
			issued := w.secretText()
			for range 5 {
				sync(data)
				w.Must(o.Settle())
				w.Must(w.CheckInvariants())
			}
			var s corev1.Secret
			w.Must(api.Get(w.Ctx, w.Key(), &s))
			if at := w.Token(); w.secretText() != issued || w.RecordsLeft() != 1 || at.Status.Rotations != 0 || string(s.Data["user"]) != "indexer" || !w.isMarked() {
				t.Errorf("the token is the same: %t; %d records, %d rotations, %d keys", w.secretText() == issued, w.RecordsLeft(), at.Status.Rotations, len(s.Data))
			}
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
			w.Must(o.Settle())
			second := w.secretText()
			sync(data)
			w.Must(o.Settle())
			if second == issued || w.secretText() != second || w.RecordsLeft() != 2 {
				t.Errorf("after a rotation the token is another: %t, after a sync the same: %t; %d records", second != issued, w.secretText() == second, w.RecordsLeft())
			}
		})
	}
}

// A manifest can hold a former version, such as a manifest made from the Secret itself.
func TestAdopt_SyncsOfFormerTokenMakeNoNewToken(t *testing.T) {
	w := newFixture(t)
	sync := w.manifestSyncs()["replace"]
	sync(nil)
	w.Must(w.DeclareToken())
	o := w.startWithCache()
	w.Must(o.Settle())
	former := map[string]string{"token": w.secretText()}
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	w.Must(o.Settle())
	issued := w.secretText()
	for range 5 {
		sync(former)
		w.Must(o.Settle())
	}
	if w.secretText() != issued || w.RecordsLeft() != 2 || w.Token().Status.Rotations != 1 {
		t.Errorf("the token is the same: %t; %d records, %d rotations", w.secretText() == issued, w.RecordsLeft(), w.Token().Status.Rotations)
	}
}

// A revoked token is not written again.
func TestAdopt_RevokedTokenIsNotRestored(t *testing.T) {
	w := newFixture(t)
	sync := w.manifestSyncs()["replace"]
	data := map[string]string{"token": "placeholder"}
	sync(data)
	w.Must(w.DeclareToken())
	o := w.startWithCache()
	w.Must(o.Settle())
	issued := w.secretText()
	w.Must(api.Delete(w.Ctx, &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: w.NewestRecordName()}}))
	sync(data)
	w.Must(o.Settle())
	if w.secretText() == issued || w.RecordsLeft() != 1 {
		t.Errorf("the token is the same: %t; %d records", w.secretText() == issued, w.RecordsLeft())
	}
}

// Keys that the operator wrote go when the spec no longer has them. The owner's keys go with the
// offer.
func TestAdopt_KeysOfOwnerAndOperatorAreSeparate(t *testing.T) {
	w := newFixture(t)
	w.manifestSyncs()["server-side apply"](map[string]string{"user": "indexer"})
	w.Must(w.DeclareToken())
	o := w.startWithCache()
	keys := func(when string, want ...string) {
		t.Helper()
		w.Must(o.Settle())
		var s corev1.Secret
		w.Must(api.Get(w.Ctx, w.Key(), &s))
		for _, key := range want {
			if _, there := s.Data[key]; !there || len(s.Data) != len(want) {
				t.Errorf("%s, there are %d keys, want %q", when, len(s.Data), want)
			}
		}
	}
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
		at.Spec.Secret.Data = map[string]v1alpha1.Template{"token": "{{ .Token }}", "header": "Bearer {{ .Token }}"}
	}))
	keys("with two templates", "token", "header", "user")
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
		at.Spec.Secret.Data = map[string]v1alpha1.Template{"token": "{{ .Token }}"}
	}))
	keys("with one template", "token", "user")
	w.editSecret(func(s *corev1.Secret) { delete(s.Annotations, v1alpha1.AnnotationAdopt) })
	keys("without the offer", "token")
}
