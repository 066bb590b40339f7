package v1alpha1_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/controlplane"
)

// The control plane of this package's tests, and a client with all rights.
var (
	plane *controlplane.Cluster
	api   client.Client
)

func TestMain(m *testing.M) { controlplane.Main(m, connect) }

func connect(c *controlplane.Cluster) (err error) {
	plane = c
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	api, err = client.New(c.Admin, client.Options{Scheme: scheme})
	return err
}

// table holds rules of the API, keyed by sentences.
type table map[string]rule

// rule is one rule from both sides: what the API server accepts, and what it rejects.
type rule struct {
	on   string // the manifest that is changed; empty: the first one of the kind
	good twist  // nil: the manifest as it is
	bad  twist  // nil: nothing is rejected
	at   string // the field that the error names
	says string // the text that names the change which the user has to make
}

// twist changes a manifest.
type twist func(o *unstructured.Unstructured)

func set(path string, value any) twist {
	return func(o *unstructured.Unstructured) { put(o.Object, parse(path), value) }
}

func drop(paths ...string) twist {
	return func(o *unstructured.Unstructured) {
		for _, path := range paths {
			put(o.Object, parse(path), absent{})
		}
	}
}

func combined(twists ...twist) twist {
	return func(o *unstructured.Unstructured) {
		for _, tw := range twists {
			if tw != nil {
				tw(o)
			}
		}
	}
}

// merge merges tables. It panics if two rules have the same sentence.
func merge(tables ...table) table {
	all := table{}
	for _, t := range tables {
		for sentence := range t {
			if _, twice := all[sentence]; twice {
				panic("two rules are called " + sentence)
			}
		}
		maps.Copy(all, t)
	}
	return all
}

// onManifest applies the rules of t to another manifest than the first one of the kind.
func onManifest(manifest string, t table) table {
	for sentence, r := range t {
		r.on = manifest
		t[sentence] = r
	}
	return t
}

// withBase applies tw before the change of each rule of t.
func withBase(tw twist, t table) table {
	for sentence, r := range t {
		r.good = combined(tw, r.good)
		if r.bad != nil {
			r.bad = combined(tw, r.bad)
		}
		t[sentence] = r
	}
	return t
}

// absent, put at a place, removes the value there.
type absent struct{}

// place is the position of a value: keys and indexes, from the root.
type place []any

func (p place) String() string {
	var s strings.Builder
	for i, step := range p {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&s, "[%d]", step)
		case string:
			if i > 0 {
				s.WriteByte('.')
			}
			s.WriteString(step)
		}
	}
	return s.String()
}

var step = regexp.MustCompile(`[^.\[\]]+`)

// parse parses the output of String, where no key holds a dot.
func parse(path string) place {
	var p place
	for _, s := range step.FindAllString(path, -1) {
		if i, err := strconv.Atoi(s); err == nil {
			p = append(p, i)
		} else {
			p = append(p, s)
		}
	}
	return p
}

// put sets the value at p in in, and makes the maps and list entries that are missing on the way.
func put(in any, p place, value any) any {
	if len(p) == 0 {
		return value
	}
	if i, ok := p[0].(int); ok {
		list, _ := in.([]any)
		if i == len(list) {
			list = append(list, nil)
		}
		list[i] = put(list[i], p[1:], value)
		return list
	}
	key, _ := p[0].(string)
	m, ok := in.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	m[key] = put(m[key], p[1:], value)
	if _, gone := m[key].(absent); gone {
		delete(m, key)
	}
	return m
}

// read returns the manifest of that name from testdata, changed by tw.
func read(t *testing.T, manifest string, tw twist) *unstructured.Unstructured {
	t.Helper()
	return decode(t, text(t, manifest), tw)
}

func text(t *testing.T, manifest string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", manifest+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode(t *testing.T, data []byte, tw twist) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(data, &o.Object); err != nil {
		t.Fatal(err)
	}
	combined(tw)(o)
	return o
}

// create creates the object in the cluster, and deletes it when the test ends.
func create(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	if err := api.Create(t.Context(), o, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
		t.Fatal(err)
	}
	deleteAfter(t, o)
}

func deleteAfter(t *testing.T, o client.Object) {
	t.Cleanup(func() {
		if err := api.Delete(context.Background(), o); err != nil { // the test's own context has ended
			t.Error(err)
		}
	})
}

// dryRunCreate returns the error of the API server for creating an object, as a dry run. It also
// rejects unknown fields, so that no case passes because of a misspelling.
func dryRunCreate(t *testing.T, o *unstructured.Unstructured) error {
	t.Helper()
	return api.Create(t.Context(), o, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
}

// checkRejected checks that err names a field and names what to change there. It also checks that
// err does not mention rules that the API server could not evaluate, because users cannot act on
// that.
func checkRejected(t *testing.T, err error, at, says string) {
	t.Helper()
	refusal, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || refusal.ErrStatus.Details == nil {
		t.Fatalf("not refused (error: %v), want a refusal at %s that says %q", err, at, says)
	}
	if strings.Contains(err.Error(), "evaluating rule") {
		t.Errorf("the user is shown the inside of a rule: %v", err)
	}
	for _, cause := range refusal.ErrStatus.Details.Causes {
		if cause.Field == at && strings.Contains(cause.Message, says) && strings.Contains(err.Error(), says) {
			return
		}
	}
	t.Errorf("refused with: %v\nwant a refusal at %s that says %q", err, at, says)
}
