package v1alpha1_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kind is a kind of the API, as its tests see it.
type kind struct {
	plural    string
	manifests []string // together they have every field of the spec
	rules     table
	changes   changes
}

func kinds() []kind {
	return []kind{
		{"applicationtokens", []string{"token", "token-of-a-user", "token-cloned"}, applicationTokenRules(), applicationTokenChanges()},
		{"clients", []string{"client"}, clientRules(), clientChanges()},
		{"tokenrecords", []string{"record"}, tokenRecordRules(), tokenRecordChanges()},
		{"users", []string{"user"}, userRules(), userChanges()},
	}
}

// changes holds rules about updates, keyed by sentences.
type changes map[string]change

// change is an update. If says is empty, it is accepted.
type change struct {
	from, to twist
	at, says string
}

func TestValidation_EveryRuleHolds(t *testing.T) {
	for _, k := range kinds() {
		for sentence, r := range k.rules {
			t.Run(k.plural+": "+sentence, func(t *testing.T) {
				if r.on == "" {
					r.on = k.manifests[0]
				}
				if err := dryRunCreate(t, read(t, r.on, r.good)); err != nil {
					t.Errorf("what should be accepted is not: %v", err)
				}
				if r.bad != nil {
					checkRejected(t, dryRunCreate(t, read(t, r.on, r.bad)), r.at, r.says)
				}
			})
		}
	}
}

func TestValidation_TransitionRulesHold(t *testing.T) {
	for _, k := range kinds() {
		for sentence, c := range k.changes {
			t.Run(k.plural+": "+sentence, func(t *testing.T) {
				o := read(t, k.manifests[0], c.from)
				create(t, o)
				next := o.DeepCopy()
				c.to(next)
				err := api.Update(t.Context(), next, client.DryRunAll)
				if c.says == "" && err != nil {
					t.Errorf("what should be accepted is not: %v", err)
				}
				if c.says != "" {
					checkRejected(t, err, c.at, c.says)
				}
			})
		}
	}
}

func TestValidation_RevokedTokenMayBeRecreated(t *testing.T) {
	t.Run("revoked", func(t *testing.T) { create(t, read(t, "token", set("spec.state", "Revoked"))) }) // deleted when the subtest ends
	create(t, read(t, "token", set("spec.state", "Active")))
}

func TestValidation_RejectsHugeStrings(t *testing.T) {
	for _, k := range kinds() {
		tried := map[string]bool{}
		for _, manifest := range k.manifests {
			for _, p := range stringsIn(read(t, manifest, nil).Object["spec"], place{"spec"}) {
				tried[schemaPath(t, k.plural, p)] = true
				if unbounded(schemaPath(t, k.plural, p)) {
					continue
				}
				t.Run(k.plural+": "+p.String(), func(t *testing.T) {
					err := dryRunCreate(t, read(t, manifest, func(o *unstructured.Unstructured) { put(o.Object, p, chars(10_000)) }))
					checkRejected(t, err, p.String(), "")
				})
			}
		}
		walk(t, k.plural, func(path string, n schema) {
			if n["type"] == "string" && within(path, "spec") && !unbounded(path) && !tried[path] {
				t.Errorf("%s: no manifest in testdata has a %s, so nothing is known of it", k.plural, path)
			}
		})
	}
}

// stringsIn lists the places below in that hold a string.
func stringsIn(in any, here place) []place {
	var found []place
	step := func(s any, v any) {
		found = append(found, stringsIn(v, append(here[:len(here):len(here)], s))...)
	}
	switch in := in.(type) {
	case string:
		found = append(found, here)
	case []any:
		for i, v := range in {
			step(i, v)
		}
	case map[string]any:
		for k, v := range in {
			step(k, v)
		}
	}
	return found
}

func TestValidation_BoundsRecordStatus(t *testing.T) {
	o := read(t, "record", nil)
	create(t, o)
	set("status", map[string]any{"lastUsedAt": "2026-03-01T12:00:00Z", "lastUsedFrom": chars(64)})(o)
	if err := api.Status().Update(t.Context(), o, client.DryRunAll); err != nil {
		t.Error(err)
	}
	set("status.lastUsedFrom", chars(65))(o)
	checkRejected(t, api.Status().Update(t.Context(), o, client.DryRunAll), "status.lastUsedFrom", "may not be more than 64 bytes")
}
