package v1alpha1_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/apptoken/operator/internal/testing/controlplane"
)

// schema is a node of the schema in a CRD.
type schema = map[string]any

// unboundedNodes lists the nodes that need no bound, or whose bound the project cannot set.
var unboundedNodes = []struct{ below, why string }{
	{"apiVersion", "checked by the API server before it looks at any schema"},
	{"kind", "checked by the API server before it looks at any schema"},
	{"status", "written by the operator alone; a status that cannot be written would be worse than a long one"},
	{"spec.grants[*].namespaces.selector", "metav1.LabelSelector, the schema of which is Kubernetes's; written by the platform team alone"},
}

func unbounded(path string) bool {
	return slices.ContainsFunc(unboundedNodes, func(b struct{ below, why string }) bool { return within(path, b.below) })
}

// within reports whether path equals above or is a node below it.
func within(path, above string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// root returns the schema of a kind from its CRD manifest, which the test cluster and users
// install.
func root(t *testing.T, plural string) schema {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(controlplane.Root(), "config", "crd", "bases", "apptoken.dev_"+plural+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema schema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	if n := len(crd.Spec.Versions); n != 1 {
		t.Fatalf("%s has %d versions, these tests know of one", plural, n)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// walk visits every node of a kind's schema. Entries of lists and maps are called [*].
func walk(t *testing.T, plural string, visit func(path string, n schema)) {
	t.Helper()
	var below func(path string, n schema)
	below = func(path string, n schema) {
		visit(path, n)
		properties, _ := n["properties"].(schema)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			child, _ := properties[name].(schema)
			below(strings.TrimPrefix(path+"."+name, "."), child)
		}
		for _, entries := range []string{"items", "additionalProperties"} {
			if child, ok := n[entries].(schema); ok {
				below(path+"[*]", child)
			}
		}
	}
	below("", root(t, plural))
}

// schemaPath returns the path that walk uses for the place.
func schemaPath(t *testing.T, plural string, p place) string {
	t.Helper()
	path, n := "", root(t, plural)
	for _, step := range p {
		properties, _ := n["properties"].(schema)
		name, _ := step.(string)
		if child, ok := properties[name].(schema); ok {
			path, n = strings.TrimPrefix(path+"."+name, "."), child
			continue
		}
		child, ok := n["items"].(schema)
		if !ok {
			child, ok = n["additionalProperties"].(schema)
		}
		if !ok {
			t.Fatalf("%s have no field %s", plural, p)
		}
		path, n = path+"[*]", child
	}
	return path
}

func TestSchema_BoundsStringsListsAndMaps(t *testing.T) {
	needed := map[string]bool{}
	for _, k := range kinds() {
		walk(t, k.plural, func(path string, n schema) {
			missing := unboundedness(n)
			if missing == "" {
				return
			}
			if !unbounded(path) {
				t.Errorf("%s: %s %s", k.plural, path, missing)
			}
			for _, b := range unboundedNodes {
				needed[b.below] = needed[b.below] || within(path, b.below)
			}
		})
	}
	for _, b := range unboundedNodes {
		if !needed[b.below] {
			t.Errorf("everything below %s is bounded by now: take it off the list", b.below)
		}
	}
}

// unboundedness returns the bound that a node lacks, if it lacks one.
func unboundedness(n schema) string {
	has := func(keyword string) bool { _, ok := n[keyword]; return ok }
	switch {
	case has("x-kubernetes-preserve-unknown-fields"):
		return "takes unknown fields"
	case n["type"] == "string" && !has("maxLength") && !has("enum") && n["format"] != "date-time":
		return "is a string without maxLength, enum or format"
	case n["type"] == "array" && !has("maxItems"):
		return "is a list without maxItems"
	case has("additionalProperties") && !has("maxProperties"):
		return "is a map without maxProperties"
	}
	return ""
}

func TestSchema_EveryListHasListType(t *testing.T) {
	for _, k := range kinds() {
		walk(t, k.plural, func(path string, n schema) {
			if n["type"] == "array" && n["x-kubernetes-list-type"] == nil {
				t.Errorf("%s: %s has no listType; two appliers would overwrite each other", k.plural, path)
			}
		})
	}
}

// TestSchema_EveryConstraintHasRejectedCase checks that each constraint of a schema has a case that
// it rejects. TestValidation_EveryRuleHolds and TestValidation_TransitionRulesHold
// check the messages of those cases.
func TestSchema_EveryConstraintHasRejectedCase(t *testing.T) {
	for _, k := range kinds() {
		said := map[string][]string{}
		for _, r := range k.rules {
			if r.bad != nil {
				path := schemaPath(t, k.plural, parse(r.at))
				said[path] = append(said[path], r.says)
			}
		}
		for _, c := range k.changes {
			if c.says != "" {
				path := schemaPath(t, k.plural, parse(c.at))
				said[path] = append(said[path], c.says)
			}
		}
		all := constraints(t, k.plural)
		for path, texts := range all {
			for _, text := range texts {
				speaks := func(says string) bool { return unmistakable(says, text, texts) }
				if !slices.ContainsFunc(said[path], speaks) {
					t.Errorf("%s: no case is refused at %q with %q", k.plural, path, text)
				}
			}
		}
	}
}

// unmistakable reports whether the message of a case fits this constraint and no other constraint
// at the same place.
func unmistakable(says, text string, texts []string) bool {
	for _, other := range texts {
		if strings.Contains(other, says) != (other == text) {
			return false
		}
	}
	return true
}

// constraints returns the messages of the API server for violations of the project's constraints,
// by the place of the violation.
func constraints(t *testing.T, plural string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	walk(t, plural, func(path string, n schema) {
		if unbounded(path) {
			return
		}
		add := func(path, format string, args ...any) {
			path = strings.TrimPrefix(path, ".")
			if text := fmt.Sprintf(format, args...); !slices.Contains(all[path], text) {
				all[path] = append(all[path], text)
			}
		}
		for keyword, format := range map[string]string{
			"minLength": "should be at least %v chars long", "maxLength": "may not be more than %v bytes",
			"minItems": "should have at least %v items", "maxItems": "must have at most %v items",
			"minProperties": "should have at least %v properties", "maxProperties": "must have at most %v items",
			"minimum": "should be greater than or equal to %v", "maximum": "should be less than or equal to %v",
			"pattern": "should match '%v'",
		} {
			if bound, ok := n[keyword]; ok {
				add(path, format, number(bound))
			}
		}
		if n["format"] == "date-time" {
			add(path, "must be of type date-time")
		}
		if enum, ok := n["enum"].([]any); ok {
			quoted := make([]string, len(enum))
			for i, v := range enum {
				quoted[i] = fmt.Sprintf("%q", v)
			}
			add(path, "supported values: %s", strings.Join(quoted, ", "))
		}
		if merges := n["x-kubernetes-list-type"]; merges == "set" || merges == "map" {
			add(path+"[*]", "Duplicate value")
		}
		if required, ok := n["required"].([]any); ok {
			for _, name := range required {
				add(fmt.Sprintf("%s.%s", path, name), "Required value")
			}
		}
		if rules, ok := n["x-kubernetes-validations"].([]any); ok {
			for _, r := range rules {
				rule, _ := r.(schema)
				field, _ := rule["fieldPath"].(string)
				add(path+field, "%s", rule["message"])
			}
		}
	})
	return all
}

// number removes the exponent that JSON gives to large numbers.
func number(bound any) any {
	if f, ok := bound.(float64); ok {
		return int64(f)
	}
	return bound
}
