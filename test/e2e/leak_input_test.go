package e2e_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// assertNoLeaks fails if a text that was ever secret can be read outside the consumers' Secrets.
func (w *tenant) assertNoLeaks() {
	w.Helper()
	problems, err := findLeaks(w.Context(), plaintexts.all())
	w.must(err)
	for _, problem := range problems {
		w.Error(problem)
	}
}

func TestLeaks_NoneInLifeOfToken(t *testing.T) { // [3.1] [row 1]
	w := newSharedTenant(t)
	w.createWorkload("Deployment", "indexer")
	w.declareToken("indexer", `{lifetime: 1h, rotation: {trigger: a, retire: {minOverlap: 0s, quietPeriod: 0s, maxOverlap: 1h}}, restart: [{kind: Deployment, name: indexer}],
	  secret: {data: {token: "{{ .Token }}", b64: "{{ .Token | b64enc }}", json: "{{ toJson .Token }}", url: "https://x:{{ .Token | urlquery }}@host"}}}`)
	w.declareToken("clone", `{clientRef: null, roles: null, cloneFrom: {name: indexer}}`)
	w.waitReady("indexer")
	w.waitReady("clone")
	w.editToken("indexer", `{rotation: {trigger: b}}`)
	w.waitVersion("indexer", 2)
	w.recordUse(w.currentDigest("indexer"), "192.0.2.1")
	w.waitEvent("indexer", "Retired")
	w.must(admin.Delete(t.Context(), w.secret("clone")))
	w.waitVersion("clone", 2)
	w.editToken("clone", `{state: Suspended}`)
	w.waitRefused("clone", v1alpha1.ReasonSuspended)
	w.editToken("clone", `{state: Revoked}`)
	w.waitRefused("clone", v1alpha1.ReasonRevoked)
	w.kubectl("delete", "at", "clone")
	if n := len(plaintexts.inNamespace(w.name)); n < 4 {
		t.Errorf("only %d tokens were seen", n)
	}
	w.assertNoLeaks()
}

func TestLeaks_MalformedInputIsNotQuoted(t *testing.T) { // [3.1] [row 10]
	w := newSharedTenant(t)
	mark := func() string {
		text := "marked" + rand.Text()
		plaintexts.addText(text)
		return text
	}
	// In a Secret that the operator may not read, in an offered Secret, and in a managed one.
	w.foreignSecret("foreign", func(s *corev1.Secret) { s.Data["token"] = []byte(mark()) })
	w.foreignSecret("offered", func(s *corev1.Secret) {
		s.Data["token"] = []byte(mark())
		s.Labels = map[string]string{v1alpha1.LabelManaged: "true"}
		s.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "offered"}
	})
	w.declareToken("foreign", `{}`)
	w.declareToken("offered", `{}`)
	w.declareToken("altered", `{}`)
	w.waitRefused("foreign", v1alpha1.ReasonSecretTaken)
	w.waitReady("offered")
	w.waitReady("altered")
	w.must(admin.Patch(t.Context(), w.secret("altered"), mergePatch(t, "stringData", `{token: ata_`+strings.TrimPrefix(mark(), "marked")+`}`)))
	w.waitVersion("altered", 2)

	// Templates whose failure would quote the token.
	for n, text := range []string{
		`{{ .Token }}{{ index .Roles .Token }}`, `{{ .Token }}{{ slice .Token 99 }}`, `{{ .Token }}{{ .Token.field }}`, `{{ .Token }}{{ index .Token .Token }}`,
		`{{ .Token }}{{ lt .Token 1 }}`, `{{ .Token }}{{ join .Token .Token }}`, `{{ .Token }}{{ b64enc .Token .Token }}`, `{{ .Token }}{{ with .Token }}{{ .x }}{{ end }}`,
		`{{ .Token }}{{ index .Roles (len .Token) }}`, `{{ .Token }}{{ slice .Token .Token }}`, `{{ .Token }}{{ eq .Token .Roles }}`, `{{ .Token }}{{ .Token | .Roles }}`,
	} {
		name := fmt.Sprintf("quoting-%d", n)
		w.declareToken(name, fmt.Sprintf(`{secret: {data: {token: %q}}}`, text))
		w.waitRefused(name, v1alpha1.ReasonInvalidSpec)
		w.assertNothingMinted(name)
	}
	w.assertNoLeaks()
}

func TestLeaks_AdmissionMessageIsNotQuoted(t *testing.T) { // [3.1] [row 10]
	w := newSharedTenant(t)
	w.declareToken("before", `{}`)
	w.waitReady("before")
	fail := admissionv1.Fail
	scope := metav1.LabelSelector{MatchLabels: map[string]string{"team": w.name}}
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: "!has(object.data)", MessageExpression: "'this is what I saw: ' + string(object.data.token)"}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: w.name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &scope},
		},
	}
	w.must(admin.Create(t.Context(), policy))
	w.must(admin.Create(t.Context(), binding))
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(admin.Delete(context.Background(), binding)); err != nil {
			t.Error(err)
		}
	})
	var said string
	defer func() { t.Log("what the policy says:", said) }()
	w.eventually("the policy is in force and talkative", func(ctx context.Context) bool {
		probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "probe"}, StringData: map[string]string{"token": "this very text"}}
		err := admin.Create(ctx, probe, client.DryRunAll)
		if err != nil {
			said = err.Error()
		}
		return strings.Contains(said, "this very text") || strings.Contains(said, b64("this very text"))
	})
	w.declareToken("indexer", `{}`)
	w.waitRefused("indexer", v1alpha1.ReasonSecretRefused)
	w.editToken("before", `{rotation: {trigger: again}}`)
	w.waitRefused("before", v1alpha1.ReasonSecretRefused)
	w.editToken("before", `{rotation: {trigger: null}, secret: {data: {token: "{{ .Token }}", more: x}}}`)
	w.waitRefused("before", v1alpha1.ReasonSecretRefused)
	w.assertNoLeaks()
}
