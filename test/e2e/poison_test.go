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

// silent fails if a text that was ever secret can be read outside the consumers' Secrets.
func (w *tenant) silent() {
	w.Helper()
	problems, err := leaks(w.Context(), plaintexts.all())
	w.must(err)
	for _, problem := range problems {
		w.Error(problem)
	}
}

func TestNothingSecretIsSaidInALife(t *testing.T) { // [3.1] [row 1]
	w := aTenant(t)
	w.workload("Deployment", "indexer")
	w.declare("indexer", `{lifetime: 1h, rotation: {trigger: a, retire: {minOverlap: 0s, quietPeriod: 0s, maxOverlap: 1h}}, restart: [{kind: Deployment, name: indexer}],
	  secret: {data: {token: "{{ .Token }}", b64: "{{ .Token | b64enc }}", json: "{{ toJson .Token }}", url: "https://x:{{ .Token | urlquery }}@host"}}}`)
	w.declare("clone", `{clientRef: null, roles: null, cloneFrom: {name: indexer}}`)
	w.ready("indexer")
	w.ready("clone")
	w.edit("indexer", `{rotation: {trigger: b}}`)
	w.version("indexer", 2)
	w.use(w.current("indexer"), "192.0.2.1")
	w.told("indexer", "Retired")
	w.must(admin.Delete(t.Context(), w.secret("clone")))
	w.version("clone", 2)
	w.edit("clone", `{state: Suspended}`)
	w.refused("clone", v1alpha1.ReasonSuspended)
	w.edit("clone", `{state: Revoked}`)
	w.refused("clone", v1alpha1.ReasonRevoked)
	w.kubectl("delete", "at", "clone")
	if n := len(plaintexts.of(w.name)); n < 4 {
		t.Errorf("only %d tokens were seen", n)
	}
	w.silent()
}

func TestMalformedInputWithASecretInItIsNotRepeated(t *testing.T) { // [3.1] [row 10]
	w := aTenant(t)
	mark := func() string {
		text := "marked" + rand.Text()
		plaintexts.mark(text)
		return text
	}
	// In a Secret that the operator may not read, in an offered Secret, and in a managed one.
	w.stranger("foreign", func(s *corev1.Secret) { s.Data["token"] = []byte(mark()) })
	w.stranger("offered", func(s *corev1.Secret) {
		s.Data["token"] = []byte(mark())
		s.Labels = map[string]string{v1alpha1.LabelManaged: "true"}
		s.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "offered"}
	})
	w.declare("foreign", `{}`)
	w.declare("offered", `{}`)
	w.declare("altered", `{}`)
	w.refused("foreign", v1alpha1.ReasonSecretTaken)
	w.ready("offered")
	w.ready("altered")
	w.must(admin.Patch(t.Context(), w.secret("altered"), merge(t, "stringData", `{token: ata_`+strings.TrimPrefix(mark(), "marked")+`}`)))
	w.version("altered", 2)

	// Templates whose failure would quote the token.
	for n, text := range []string{
		`{{ .Token }}{{ index .Roles .Token }}`, `{{ .Token }}{{ slice .Token 99 }}`, `{{ .Token }}{{ .Token.field }}`, `{{ .Token }}{{ index .Token .Token }}`,
		`{{ .Token }}{{ lt .Token 1 }}`, `{{ .Token }}{{ join .Token .Token }}`, `{{ .Token }}{{ b64enc .Token .Token }}`, `{{ .Token }}{{ with .Token }}{{ .x }}{{ end }}`,
		`{{ .Token }}{{ index .Roles (len .Token) }}`, `{{ .Token }}{{ slice .Token .Token }}`, `{{ .Token }}{{ eq .Token .Roles }}`, `{{ .Token }}{{ .Token | .Roles }}`,
	} {
		name := fmt.Sprintf("quoting-%d", n)
		w.declare(name, fmt.Sprintf(`{secret: {data: {token: %q}}}`, text))
		w.refused(name, v1alpha1.ReasonInvalidSpec)
		w.nothingMinted(name)
	}
	w.silent()
}

func TestAnAdmissionPolicyThatQuotesTheTokenIsNotQuoted(t *testing.T) { // [3.1] [row 10]
	w := aTenant(t)
	w.declare("before", `{}`)
	w.ready("before")
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
	w.declare("indexer", `{}`)
	w.refused("indexer", v1alpha1.ReasonSecretRefused)
	w.edit("before", `{rotation: {trigger: again}}`)
	w.refused("before", v1alpha1.ReasonSecretRefused)
	w.edit("before", `{rotation: {trigger: null}, secret: {data: {token: "{{ .Token }}", more: x}}}`)
	w.refused("before", v1alpha1.ReasonSecretRefused)
	w.silent()
}
