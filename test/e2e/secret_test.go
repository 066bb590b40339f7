package e2e_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// foreignSecret creates a foreign Secret.
func (w *tenant) foreignSecret(name string, twist func(*corev1.Secret)) *corev1.Secret {
	w.Helper()
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: name},
		Data:       map[string][]byte{"password": []byte("of another owner"), "token": []byte("of another owner")},
	}
	if twist != nil {
		twist(s)
	}
	w.must(admin.Create(w.Context(), s))
	return s
}

func TestSecret_ForeignIsNeitherReadNorChanged(t *testing.T) { // [3.11] [row 4]
	w := newSharedTenant(t)
	s := w.foreignSecret("indexer", nil)
	mark := sentRequests.mark()
	w.declareToken("indexer", `{}`)
	at := w.waitRefused("indexer", v1alpha1.ReasonSecretTaken)
	for _, words := range []string{"not managed by the operator", "another spec.secret.name", "apptoken.dev/managed=true", "apptoken.dev/adopt=indexer"} {
		if said := conditionOf(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, words) {
			t.Errorf("the message does not say %q: %s", words, said)
		}
	}
	if records := w.records("indexer"); len(records) > 0 {
		t.Errorf("there are %d records of a token that could not be delivered", len(records))
	}
	w.editToken("indexer", `{rotation: {trigger: "1"}}`)
	w.waitRefused("indexer", v1alpha1.ReasonSecretTaken)
	w.waitIdle("other")
	w.assertUntouched(s)
	for _, r := range sentRequests.since(mark, inNamespace(w.name)) {
		switch {
		case !strings.HasPrefix(r.resource, "secrets") || r.name != "" && r.name != "indexer":
		case r.verb == "create", r.verb == "get" && r.isMetadataOnly, (r.verb == "list" || r.verb == "watch") && r.isLabelled:
		default:
			t.Errorf("the operator asked for the content of a foreign Secret: %v", r)
		}
	}

	// Its owner may offer it.
	w.kubectl("label", "secret", "indexer", v1alpha1.LabelManaged+"=true")
	w.kubectl("annotate", "secret", "indexer", v1alpha1.AnnotationAdopt+"=indexer")
	if d := w.currentDigest("indexer"); !w.isAccepted(d) {
		t.Error("the token in the adopted Secret is refused")
	}
	adopted := w.secret("indexer")
	if _, still := adopted.Annotations[v1alpha1.AnnotationAdopt]; !still || string(adopted.Data["password"]) != "of another owner" || adopted.UID != s.UID {
		t.Errorf("the adopted Secret has annotations %v and %d keys", adopted.Annotations, len(adopted.Data))
	}
	w.kubectl("annotate", "secret", "indexer", v1alpha1.AnnotationAdopt+"-")
	w.eventually("keys of others go with the offer", func(context.Context) bool { return len(w.secret("indexer").Data) == 1 })
}

func (w *tenant) assertUntouched(s *corev1.Secret) {
	w.Helper()
	now := w.secret(s.Name)
	if now.ResourceVersion != s.ResourceVersion || !reflect.DeepEqual(now.Data, s.Data) || !reflect.DeepEqual(now.Labels, s.Labels) {
		w.Errorf("foreign Secret %s was changed", s.Name)
	}
}

func TestSecret_ForeignDeletionLetsTokenIssue(t *testing.T) {
	w := newSharedTenant(t)
	s := w.foreignSecret("indexer", nil)
	w.declareToken("indexer", `{}`)
	w.waitRefused("indexer", v1alpha1.ReasonSecretTaken)
	w.must(admin.Delete(t.Context(), s))
	// Foreign Secrets are not watched, so the token has to change.
	w.editToken("indexer", `{rotation: {trigger: "1"}}`)
	w.waitReady("indexer")
}

func TestOffer_OnlyToThisTokenIsAdopted(t *testing.T) { // [3.11] [row 4]
	t.Parallel()
	labelled := func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.LabelManaged: "true"} }
	for sentence, twist := range map[string]func(*corev1.Secret){
		"the label alone is no offer": labelled,
		"an offer to another token is none to this one": func(s *corev1.Secret) {
			labelled(s)
			s.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "other"}
		},
		"an offer without the label is not seen": func(s *corev1.Secret) {
			s.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "indexer"}
		},
		"a forged name of a token is no offer": func(s *corev1.Secret) {
			labelled(s)
			s.Labels[v1alpha1.LabelToken] = "indexer"
			s.Annotations = map[string]string{v1alpha1.AnnotationRecord: "at-" + strings.Repeat("0", 32)}
		},
		"a Secret of another type cannot be offered": func(s *corev1.Secret) {
			labelled(s)
			s.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "indexer"}
			s.Type = "example.com/other"
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newSharedTenant(t)
			s := w.foreignSecret("indexer", twist)
			w.declareToken("indexer", `{}`)
			w.waitRefused("indexer", v1alpha1.ReasonSecretTaken)
			w.waitIdle("other")
			w.assertUntouched(s)
			w.must(admin.Delete(t.Context(), w.manifest("indexer", `{}`)))
			w.eventually("the token is gone", func(context.Context) bool { return !w.get("indexer", &v1alpha1.ApplicationToken{}) })
			w.assertUntouched(s)
		})
	}
}

func TestSecret_OtherTypeIsReported(t *testing.T) { // [row 4]
	w := newSharedTenant(t)
	s := w.foreignSecret("indexer", func(s *corev1.Secret) {
		s.Type = "example.com/other"
		s.Labels = map[string]string{v1alpha1.LabelManaged: "true"}
		s.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "indexer"}
	})
	w.declareToken("indexer", `{}`)
	at := w.waitRefused("indexer", v1alpha1.ReasonSecretTaken)
	if said := conditionOf(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "is of type example.com/other") {
		t.Errorf("the message does not say what is wrong with it: %s", said)
	}
	w.assertUntouched(s)
}

// hasNoSecret reports whether there is no Secret of that name.
func (w *tenant) hasNoSecret(name string) bool {
	var s corev1.Secret
	return apierrors.IsNotFound(admin.Get(w.Context(), client.ObjectKey{Namespace: w.name, Name: name}, &s))
}

func TestSecret_ImmutableIsReported(t *testing.T) {
	w := newSharedTenant(t)
	w.declareToken("indexer", `{}`)
	d := w.currentDigest("indexer")
	immutable := true
	s := w.secret("indexer")
	s.Immutable = &immutable
	w.must(admin.Update(t.Context(), s))
	for sentence, spec := range map[string]string{
		"a new version": `{rotation: {trigger: "1"}}`,
		"a new key":     `{rotation: {trigger: null}, secret: {data: {token: "{{ .Token }}", more: x}}}`,
	} {
		w.editToken("indexer", spec)
		at := w.waitRefused("indexer", v1alpha1.ReasonSecretRefused)
		if said := conditionOf(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "immutable") {
			t.Errorf("%s: the message does not state that it is immutable: %s", sentence, said)
		}
		w.waitIdle("other-" + at.ResourceVersion)
		mark := sentRequests.mark()
		w.waitIdle("later-" + at.ResourceVersion)
		if again := sentRequests.since(mark, func(r request) bool { return r.namespace == w.name && r.name == "indexer" }); len(again) > 0 {
			t.Errorf("%s: the operator tries again and again: %v", sentence, again)
		}
		if !w.isAccepted(d) || len(w.records("indexer")) != 1 {
			t.Errorf("%s: the token that runs is accepted: %t; %d records", sentence, w.isAccepted(d), len(w.records("indexer")))
		}
	}
	w.must(admin.Delete(t.Context(), w.secret("indexer")))
	w.waitReady("indexer")
}

func TestSecret_ResourceQuotaIsReportedWithoutHotLoop(t *testing.T) {
	w := newSharedTenant(t)
	full := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "full"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"secrets": resource.MustParse("0")}},
	}
	w.must(admin.Create(t.Context(), full))
	// The quota controller does not run here; it would count no Secrets.
	full.Status = corev1.ResourceQuotaStatus{Hard: full.Spec.Hard, Used: full.Spec.Hard}
	w.must(admin.Status().Update(t.Context(), full))
	w.declareToken("indexer", `{}`)
	at := w.waitRefused("indexer", v1alpha1.ReasonSecretRefused)
	if said := conditionOf(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "quota") {
		t.Errorf("the message does not speak of a quota: %s", said)
	}
	other := newTenant(t, w.op)
	other.waitIdle("before")
	mark := sentRequests.mark()
	other.waitIdle("after")
	if again := sentRequests.since(mark, inNamespace(w.name)); len(again) > 0 {
		t.Errorf("the operator tries again and again: %v", again)
	}
	if records := w.records("indexer"); len(records) > 0 {
		t.Errorf("there are %d records of a token that could not be delivered", len(records))
	}
	w.must(admin.Delete(t.Context(), full))
	// So the test need not wait for the retry after a minute.
	w.editToken("indexer", `{rotation: {trigger: "1"}}`)
	w.waitReady("indexer")
}
