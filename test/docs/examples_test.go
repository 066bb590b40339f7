package docs_test

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/render"
	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/internal/token"
)

// knownDocuments returns the documents in a block whose kind is in the operator's scheme.
func knownDocuments(t *testing.T, where, block string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(block), 4096); ; {
		o := &unstructured.Unstructured{}
		err := d.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", where, err, block)
		}
		if app.Scheme().Recognizes(o.GroupVersionKind()) {
			all = append(all, o)
		} else if strings.HasPrefix(o.GetAPIVersion(), v1alpha1.GroupVersion.Group) {
			t.Errorf("%s: there is no kind %s in %s", where, o.GetKind(), o.GetAPIVersion())
		}
	}
}

func TestExamples_AreAcceptedByAPIServer(t *testing.T) {
	api, err := client.New(controlplane.StartFor(t).Admin, client.Options{Scheme: app.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	strict := client.NewDryRunClient(client.WithFieldValidation(api, metav1.FieldValidationStrict))
	projectKinds := 0
	for _, p := range allPages(t) {
		for _, block := range p.blocks("yaml") {
			for _, o := range knownDocuments(t, p.path, block) {
				ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.GetNamespace()}}
				if err := api.Create(t.Context(), ns); ns.Name != "" && client.IgnoreAlreadyExists(err) != nil {
					t.Fatal(err)
				}
				if o.GroupVersionKind().GroupVersion() == v1alpha1.GroupVersion {
					projectKinds++
				}
				if err := strict.Create(t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
					t.Errorf("%s: %s %s: %v", p.path, o.GetKind(), o.GetName(), err)
				}
			}
		}
	}
	if projectKinds < 5 {
		t.Errorf("there are %d examples of kinds of this project: are they read at all?", projectKinds)
	}
}

func TestExamples_TemplatesRender(t *testing.T) {
	tok, err := token.Mint(token.Application, strings.NewReader(strings.Repeat("x", 64)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range allPages(t) {
		for _, block := range p.blocks("yaml") {
			for _, o := range knownDocuments(t, p.path, block) {
				var at v1alpha1.ApplicationToken
				if o.GetKind() != "ApplicationToken" {
					continue
				}
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &at); err != nil {
					t.Fatal(err)
				}
				if len(at.Spec.Secret.Data) == 0 {
					continue
				}
				texts := map[string]string{}
				for key, text := range at.Spec.Secret.Data {
					texts[key] = string(text)
				}
				templates, err := render.Compile(texts)
				if err == nil {
					_, err = templates.Render(render.Values{Client: "acme", Roles: []string{"primary"}}, tok)
				}
				if err != nil {
					t.Errorf("%s: %s: %v", p.path, o.GetName(), err)
				}
			}
		}
	}
}

func TestSamples_AreShownInDocs(t *testing.T) {
	samples, err := filepath.Glob(filepath.Join(controlplane.Root(), "config", "samples", "*.yaml"))
	if err != nil || len(samples) < 3 {
		t.Fatalf("%d samples: %v", len(samples), err)
	}
	var shown []string
	for _, p := range allPages(t) {
		shown = append(shown, p.blocks("yaml")...)
	}
	for _, path := range samples {
		name := filepath.Join("config", "samples", filepath.Base(path))
		sample := readFile(t, name)
		if strings.Contains(sample, "apiVersion: "+v1alpha1.GroupVersion.Group) && !slices.Contains(shown, sample) {
			t.Errorf("%s is shown in no page, or not as it is", name)
		}
	}
}
