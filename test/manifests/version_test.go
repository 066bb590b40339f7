package manifests_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	schemacel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

// statedMinor returns the minor version of the oldest Kubernetes that docs/operations.md names.
func statedMinor(t *testing.T) uint {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`Kubernetes 1\.(\d+) or later`).FindSubmatch(page)
	if found == nil {
		t.Fatal("docs/operations.md does not name the oldest version of Kubernetes")
	}
	minor, err := strconv.ParseUint(string(found[1]), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint(minor)
}

// celEnvironment returns the CEL environment in which an API server of that version compiles new
// expressions: that of the version before, so that it can be rolled back.
func celEnvironment(minor uint) *environment.EnvSet {
	return environment.MustBaseEnvSet(version.MajorMinor(1, minor-1))
}

// ruleErrors returns the errors of an API server of that version in the validation rules of the
// kinds.
func ruleErrors(t *testing.T, minor uint) map[string]error {
	t.Helper()
	files, err := filepath.Glob(configPath("crd/bases/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the kinds are %v, %v", files, err)
	}
	refused := map[string]error{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		for _, v := range crd.Spec.Versions {
			var props apiextensions.JSONSchemaProps
			if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &props, nil); err != nil {
				t.Fatal(err)
			}
			s, err := schema.NewStructural(&props)
			if err != nil {
				t.Fatal(err)
			}
			compileRules(t, crd.Name, s, true, celEnvironment(minor), refused)
		}
	}
	return refused
}

func compileRules(t *testing.T, at string, s *schema.Structural, root bool, env *environment.EnvSet, refused map[string]error) {
	t.Helper()
	results, err := schemacel.Compile(s, model.SchemaDeclType(s, root), celconfig.PerCallLimit, env, schemacel.NewExpressionsEnvLoader())
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	for i, r := range results {
		if r.Error != nil {
			refused[at+": "+s.XValidations[i].Rule] = r.Error
		}
	}
	for name, property := range s.Properties {
		compileRules(t, at+"."+name, &property, false, env, refused)
	}
	if s.Items != nil {
		compileRules(t, at+"[]", s.Items, false, env, refused)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		compileRules(t, at+".*", s.AdditionalProperties.Structural, false, env, refused)
	}
}

// policyErrors returns the errors of an API server of that version in the expressions of the
// admission policies. It checks functions and syntax; the types of fields do not differ between
// versions.
func policyErrors(t *testing.T, minor uint) map[string]error {
	t.Helper()
	var variables []cel.EnvOption
	for _, name := range []string{"object", "oldObject", "request", "namespaceObject", "authorizer", "variables"} {
		variables = append(variables, cel.Variable(name, cel.DynType))
	}
	env, err := celEnvironment(minor).NewExpressionsEnv().Extend(variables...)
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]error{}
	policies := 0
	for _, obj := range parseObjects(t, render(t, "default")) {
		policy, ok := obj.(*admissionv1.ValidatingAdmissionPolicy)
		if !ok {
			continue
		}
		policies++
		var expressions []string
		for _, c := range policy.Spec.MatchConditions {
			expressions = append(expressions, c.Expression)
		}
		for _, v := range policy.Spec.Variables {
			expressions = append(expressions, v.Expression)
		}
		for _, v := range policy.Spec.Validations {
			expressions = append(expressions, v.Expression)
			if v.MessageExpression != "" {
				expressions = append(expressions, v.MessageExpression)
			}
		}
		for _, e := range expressions {
			if _, issues := env.Compile(e); issues.Err() != nil {
				refused[policy.Name+": "+e] = issues.Err()
			}
		}
	}
	if policies == 0 {
		t.Fatal("there is no admission policy")
	}
	return refused
}

// The stated version accepts the manifests, and the version before it does not: it is the oldest.
func TestManifests_NeedTheStatedKubernetes(t *testing.T) {
	stated := statedMinor(t)
	for minor, whole := range map[uint]bool{stated: true, stated + 3: true, stated - 1: false} {
		refused := ruleErrors(t, minor)
		for expression, err := range policyErrors(t, minor) {
			refused[expression] = err
		}
		if whole {
			for expression, err := range refused {
				t.Errorf("Kubernetes 1.%d refuses %s\n%v", minor, expression, err)
			}
		} else if len(refused) == 0 {
			t.Errorf("Kubernetes 1.%d takes all expressions too, and 1.%d is stated as the oldest", minor, stated)
		}
	}
}
