package server_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// The rules are those of the ruleset spectral:oas, by their names there. Together with
// TestOpenAPI_OperationsAreComplete and TestOpenAPI_ReferencesResolve they keep the document free
// of findings without Node.js.
func TestOpenAPI_LintRulesHold(t *testing.T) {
	for name, rule := range map[string]func(map[string]any) []string{
		"info-contact, info-description, info-license, license-url": lintInfo,
		"oas3-api-servers, oas3-server-trailing-slash":              lintServers,
		"tag-description, openapi-tags-uniqueness":                  lintTags,
		"operation-description, operation-operationId-valid-in-url": lintOperations,
		"operation-tag-defined, operation-tags":                     lintOperationTags,
		"operation-success-response, oas3-parameter-description":    lintResponsesAndParameters,
		"oas3-unused-component":                                     lintComponents,
		"oas3-valid-media-example, oas3-valid-schema-example":       lintExamples,
		"duplicated-entry-in-enum, array-items":                     lintSchemas,
	} {
		t.Run(name, func(t *testing.T) {
			for _, finding := range rule(loadOpenAPI(t)) {
				t.Error(finding)
			}
		})
	}
}

// The rules find what they are for: each change to a valid document is a finding.
func TestOpenAPI_LintRulesFindMistakes(t *testing.T) {
	operation := func(doc map[string]any) map[string]any {
		return asObject(memberAt(doc, "paths", "/a", "get"))
	}
	for name, twist := range map[string]struct {
		rule   func(map[string]any) []string
		change func(doc map[string]any)
	}{
		"no contact":               {lintInfo, func(doc map[string]any) { delete(asObject(doc["info"]), "contact") }},
		"no license URL":           {lintInfo, func(doc map[string]any) { delete(asObject(memberAt(doc, "info", "license")), "url") }},
		"no servers":               {lintServers, func(doc map[string]any) { doc["servers"] = []any{} }},
		"server with a last slash": {lintServers, func(doc map[string]any) { doc["servers"] = []any{map[string]any{"url": "/base/"}} }},
		"tag without description":  {lintTags, func(doc map[string]any) { doc["tags"] = []any{map[string]any{"name": "A"}} }},
		"undefined tag":            {lintOperationTags, func(doc map[string]any) { operation(doc)["tags"] = []any{"B"} }},
		"no description":           {lintOperations, func(doc map[string]any) { delete(operation(doc), "description") }},
		"id with a space":          {lintOperations, func(doc map[string]any) { operation(doc)["operationId"] = "get a" }},
		"no success":               {lintResponsesAndParameters, func(doc map[string]any) { operation(doc)["responses"] = map[string]any{"400": map[string]any{}} }},
		"undescribed parameter": {lintResponsesAndParameters, func(doc map[string]any) {
			operation(doc)["parameters"] = []any{map[string]any{"name": "q"}}
		}},
		"unused component": {lintComponents, func(doc map[string]any) {
			doc["components"] = map[string]any{"schemas": map[string]any{"A": map[string]any{}}}
		}},
		"enum with a duplicate": {lintSchemas, func(doc map[string]any) {
			operation(doc)["schema"] = map[string]any{"type": "string", "enum": []any{"a", "a"}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			doc := validOpenAPI()
			if found := twist.rule(doc); len(found) > 0 {
				t.Fatalf("the valid document has findings: %q", found)
			}
			twist.change(doc)
			if found := twist.rule(doc); len(found) == 0 {
				t.Error("there is no finding")
			}
		})
	}
}

// validOpenAPI returns a small document without findings.
func validOpenAPI() map[string]any {
	return map[string]any{
		"info": map[string]any{
			"description": "Text.", "contact": map[string]any{"name": "N"},
			"license": map[string]any{"name": "L", "url": "https://license.example.com"},
		},
		"servers": []any{map[string]any{"url": "/"}},
		"tags":    []any{map[string]any{"name": "A", "description": "Text."}},
		"paths": map[string]any{"/a": map[string]any{"get": map[string]any{
			"operationId": "getA", "description": "Text.", "tags": []any{"A"},
			"responses": map[string]any{"200": map[string]any{"description": "OK"}},
		}}},
	}
}

// textAt returns the text at a path of member names, or an empty one.
func textAt(in any, names ...string) string {
	text, _ := memberAt(in, names...).(string)
	return text
}

func listAt(in any, names ...string) []any {
	list, _ := memberAt(in, names...).([]any)
	return list
}

func lintInfo(doc map[string]any) (found []string) {
	if len(asObject(memberAt(doc, "info", "contact"))) == 0 {
		found = append(found, "info has no contact")
	}
	for _, at := range [][]string{{"description"}, {"license", "name"}, {"license", "url"}} {
		if textAt(doc["info"], at...) == "" {
			found = append(found, "info has no "+strings.Join(at, "."))
		}
	}
	return found
}

func lintServers(doc map[string]any) (found []string) {
	servers := listAt(doc, "servers")
	if len(servers) == 0 {
		found = append(found, "there is no server")
	}
	for _, s := range servers {
		if url := textAt(s, "url"); url == "" || len(url) > 1 && strings.HasSuffix(url, "/") {
			found = append(found, fmt.Sprintf("the server %q is empty or ends in a slash", url))
		}
	}
	return found
}

func lintTags(doc map[string]any) (found []string) {
	seen := map[string]bool{}
	for _, tag := range listAt(doc, "tags") {
		name := textAt(tag, "name")
		if name == "" || seen[name] {
			found = append(found, fmt.Sprintf("the tag %q is empty or defined twice", name))
		}
		seen[name] = true
		if textAt(tag, "description") == "" {
			found = append(found, fmt.Sprintf("the tag %q has no description", name))
		}
	}
	return found
}

func lintOperations(doc map[string]any) (found []string) {
	validInURL := regexp.MustCompile(`^[A-Za-z0-9-._~:/?#\[\]@!$&'()*+,;=]+$`)
	for name, operation := range operationsIn(doc) {
		if textAt(operation, "description") == "" {
			found = append(found, name+" has no description")
		}
		if !validInURL.MatchString(textAt(operation, "operationId")) {
			found = append(found, name+" has no operationId that is valid in a URL")
		}
	}
	return found
}

func lintOperationTags(doc map[string]any) (found []string) {
	var defined []any
	for _, tag := range listAt(doc, "tags") {
		defined = append(defined, memberAt(tag, "name"))
	}
	for name, operation := range operationsIn(doc) {
		tags := listAt(operation, "tags")
		if len(tags) == 0 {
			found = append(found, name+" has no tag")
		}
		for _, tag := range tags {
			if !slices.Contains(defined, tag) {
				found = append(found, fmt.Sprintf("%s has the undefined tag %v", name, tag))
			}
		}
	}
	return found
}

func lintResponsesAndParameters(doc map[string]any) (found []string) {
	for name, operation := range operationsIn(doc) {
		succeeds := false
		for status := range asObject(operation["responses"]) {
			succeeds = succeeds || strings.HasPrefix(status, "2") || strings.HasPrefix(status, "3")
		}
		if !succeeds {
			found = append(found, name+" has no response of success")
		}
		for _, p := range listAt(operation, "parameters") {
			if textAt(p, "description") == "" {
				found = append(found, fmt.Sprintf("%s has a parameter %q without description", name, textAt(p, "name")))
			}
		}
	}
	return found
}

func lintComponents(doc map[string]any) (found []string) {
	used := map[string]bool{}
	for _, object := range objectsIn("", doc) {
		if to, is := object["$ref"].(string); is {
			used[to] = true
		}
		for _, each := range listAt(object, "security") {
			for scheme := range asObject(each) {
				used["#/components/securitySchemes/"+scheme] = true
			}
		}
	}
	for kind, all := range asObject(doc["components"]) {
		for name := range asObject(all) {
			if !used["#/components/"+kind+"/"+name] {
				found = append(found, fmt.Sprintf("%s %s is not used", kind, name))
			}
		}
	}
	return found
}

func lintSchemas(doc map[string]any) (found []string) {
	for at, object := range objectsIn("", doc) {
		enum, _ := object["enum"].([]any)
		for i, v := range enum {
			if slices.Contains(enum[:i], v) {
				found = append(found, fmt.Sprintf("%s has %v twice in its enum", at, v))
			}
		}
		if object["type"] == "array" && object["items"] == nil {
			found = append(found, at+" is an array without items")
		}
	}
	return found
}

// lintExamples checks each example in the document of loadOpenAPI against its schema.
func lintExamples(doc map[string]any) (found []string) {
	validate := func(at string, example any) {
		schema, err := servertest.OpenAPI().Schema(at)
		if err == nil {
			err = schema.Validate(example)
		}
		if err != nil {
			found = append(found, fmt.Sprintf("an example of %s: %v", at, err))
		}
	}
	checked := 0
	for at, object := range objectsIn("", doc) {
		if example, is := object["example"]; is && object["schema"] != nil {
			validate(at+"/schema", example)
			checked++
		}
		if examples, is := object["examples"].([]any); is && object["type"] != nil {
			for _, example := range examples {
				validate(at, example)
			}
		}
	}
	if checked < 40 {
		found = append(found, fmt.Sprintf("there are no more than %d examples", checked))
	}
	return found
}

// objectsIn returns all objects within a value, by JSON pointer.
func objectsIn(at string, in any) map[string]map[string]any {
	all := map[string]map[string]any{}
	switch v := in.(type) {
	case map[string]any:
		all[at] = v
		for name, each := range v {
			maps.Copy(all, objectsIn(at+"/"+servertest.JSONPointerEscaper.Replace(name), each))
		}
	case []any:
		for i, each := range v {
			maps.Copy(all, objectsIn(fmt.Sprintf("%s/%d", at, i), each))
		}
	}
	return all
}
