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

// stranger creates a foreign Secret.
func (w *tenant) stranger(name string, twist func(*corev1.Secret)) *corev1.Secret {
	w.Helper()
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: name},
		Data:       map[string][]byte{"password": []byte("of somebody else"), "token": []byte("of somebody else")},
	}
	if twist != nil {
		twist(s)
	}
	w.must(admin.Create(w.Context(), s))
	return s
}

func TestASecretThatIsNotOursIsNeitherReadNorChanged(t *testing.T) { // [3.11] [row 4]
	w := aTenant(t)
	s := w.stranger("indexer", nil)
	mark := sent.mark()
	w.declare("indexer", `{}`)
	at := w.refused("indexer", v1alpha1.ReasonSecretTaken)
	for _, words := range []string{"not managed by the operator", "another spec.secret.name", "apptoken.dev/managed=true", "apptoken.dev/adopt=indexer"} {
		if said := condition(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, words) {
			t.Errorf("the message does not say %q: %s", words, said)
		}
	}
	if records := w.records("indexer"); len(records) > 0 {
		t.Errorf("there are %d records of a token that could not be delivered", len(records))
	}
	w.edit("indexer", `{rotation: {trigger: "1"}}`)
	w.refused("indexer", v1alpha1.ReasonSecretTaken)
	w.calm("other")
	w.untouched(s)
	for _, r := range sent.since(mark, in(w.name)) {
		switch {
		case !strings.HasPrefix(r.resource, "secrets") || r.name != "" && r.name != "indexer":
		case r.verb == "create", r.verb == "get" && r.metadataOnly, (r.verb == "list" || r.verb == "watch") && r.labelled:
		default:
			t.Errorf("the operator asked for the content of a Secret that is not ours: %v", r)
		}
	}

	// Its owner may offer it.
	w.kubectl("label", "secret", "indexer", v1alpha1.LabelManaged+"=true")
	w.kubectl("annotate", "secret", "indexer", v1alpha1.AnnotationAdopt+"=indexer")
	if d := w.current("indexer"); !w.accepted(d) {
		t.Error("the token in the adopted Secret is refused")
	}
	adopted := w.secret("indexer")
	if _, still := adopted.Annotations[v1alpha1.AnnotationAdopt]; !still || string(adopted.Data["password"]) != "of somebody else" || adopted.UID != s.UID {
		t.Errorf("the adopted Secret has annotations %v and %d keys", adopted.Annotations, len(adopted.Data))
	}
	w.kubectl("annotate", "secret", "indexer", v1alpha1.AnnotationAdopt+"-")
	w.eventually("keys of others go with the offer", func(context.Context) bool { return len(w.secret("indexer").Data) == 1 })
}

func (w *tenant) untouched(s *corev1.Secret) {
	w.Helper()
	now := w.secret(s.Name)
	if now.ResourceVersion != s.ResourceVersion || !reflect.DeepEqual(now.Data, s.Data) || !reflect.DeepEqual(now.Labels, s.Labels) {
		w.Errorf("Secret %s, which is not ours, was changed", s.Name)
	}
}

func TestTheStrangersGoingHeals(t *testing.T) {
	w := aTenant(t)
	s := w.stranger("indexer", nil)
	w.declare("indexer", `{}`)
	w.refused("indexer", v1alpha1.ReasonSecretTaken)
	w.must(admin.Delete(t.Context(), s))
	// Foreign Secrets are not watched, so the token has to change.
	w.edit("indexer", `{rotation: {trigger: "1"}}`)
	w.ready("indexer")
}

func TestOnlyAnOfferToThisVeryTokenIsTakenUp(t *testing.T) { // [3.11] [row 4]
	t.Parallel()
	labelled := func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.LabelManaged: "true"} }
	for sentence, twist := range map[string]func(*corev1.Secret){
		"the label alone is no offer": labelled,
		"an offer to another is none to us": func(s *corev1.Secret) {
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
			w := aTenant(t)
			s := w.stranger("indexer", twist)
			w.declare("indexer", `{}`)
			w.refused("indexer", v1alpha1.ReasonSecretTaken)
			w.calm("other")
			w.untouched(s)
			w.must(admin.Delete(t.Context(), w.manifest("indexer", `{}`)))
			w.eventually("the token is gone", func(context.Context) bool { return !w.get("indexer", &v1alpha1.ApplicationToken{}) })
			w.untouched(s)
		})
	}
}

func TestASecretOfAnotherTypeIsSaidToBeOne(t *testing.T) { // [row 4]
	w := aTenant(t)
	s := w.stranger("indexer", func(s *corev1.Secret) {
		s.Type = "example.com/other"
		s.Labels = map[string]string{v1alpha1.LabelManaged: "true"}
		s.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "indexer"}
	})
	w.declare("indexer", `{}`)
	at := w.refused("indexer", v1alpha1.ReasonSecretTaken)
	if said := condition(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "is of type example.com/other") {
		t.Errorf("the message does not say what is wrong with it: %s", said)
	}
	w.untouched(s)
}

// noSecret reports whether there is no Secret of that name.
func (w *tenant) noSecret(name string) bool {
	var s corev1.Secret
	return apierrors.IsNotFound(admin.Get(w.Context(), client.ObjectKey{Namespace: w.name, Name: name}, &s))
}

func TestAnImmutableSecretIsSaidToBeOne(t *testing.T) {
	w := aTenant(t)
	w.declare("indexer", `{}`)
	d := w.current("indexer")
	immutable := true
	s := w.secret("indexer")
	s.Immutable = &immutable
	w.must(admin.Update(t.Context(), s))
	for sentence, spec := range map[string]string{
		"a new version": `{rotation: {trigger: "1"}}`,
		"a new key":     `{rotation: {trigger: null}, secret: {data: {token: "{{ .Token }}", more: x}}}`,
	} {
		w.edit("indexer", spec)
		at := w.refused("indexer", v1alpha1.ReasonSecretRefused)
		if said := condition(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "immutable") {
			t.Errorf("%s: the message does not say that it is immutable: %s", sentence, said)
		}
		w.calm("other-" + at.ResourceVersion)
		mark := sent.mark()
		w.calm("later-" + at.ResourceVersion)
		if again := sent.since(mark, func(r request) bool { return r.namespace == w.name && r.name == "indexer" }); len(again) > 0 {
			t.Errorf("%s: the operator tries again and again: %v", sentence, again)
		}
		if !w.accepted(d) || len(w.records("indexer")) != 1 {
			t.Errorf("%s: the token that runs is accepted: %t; %d records", sentence, w.accepted(d), len(w.records("indexer")))
		}
	}
	w.must(admin.Delete(t.Context(), w.secret("indexer")))
	w.ready("indexer")
}

func TestAQuotaInTheWayIsSaidAndNotRunAgainst(t *testing.T) {
	w := aTenant(t)
	full := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "full"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"secrets": resource.MustParse("0")}},
	}
	w.must(admin.Create(t.Context(), full))
	// The quota controller does not run here; it would count no Secrets.
	full.Status = corev1.ResourceQuotaStatus{Hard: full.Spec.Hard, Used: full.Spec.Hard}
	w.must(admin.Status().Update(t.Context(), full))
	w.declare("indexer", `{}`)
	at := w.refused("indexer", v1alpha1.ReasonSecretRefused)
	if said := condition(at, v1alpha1.ConditionReady).Message; !strings.Contains(said, "quota") {
		t.Errorf("the message does not speak of a quota: %s", said)
	}
	other := tenantOf(t, w.op)
	other.calm("before")
	mark := sent.mark()
	other.calm("after")
	if again := sent.since(mark, in(w.name)); len(again) > 0 {
		t.Errorf("the operator tries again and again: %v", again)
	}
	if records := w.records("indexer"); len(records) > 0 {
		t.Errorf("there are %d records of a token that could not be delivered", len(records))
	}
	w.must(admin.Delete(t.Context(), full))
	// So the test need not wait for the retry after a minute.
	w.edit("indexer", `{rotation: {trigger: "1"}}`)
	w.ready("indexer")
}
