package e2e_test

import (
	"context"
	"encoding/base64"
	"reflect"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// waitKstatus waits until kstatus, which Flux, Argo CD and others use, computes the wanted status
// for an object.
func (w *tenant) waitKstatus(kind, name string, want status.Status) {
	w.Helper()
	var last *status.Result
	w.eventually(kind+" "+name+" is "+want.String()+" to kstatus", func(ctx context.Context) bool {
		o := &unstructuredObject{}
		o.SetAPIVersion("apptoken.dev/v1alpha1")
		o.SetKind(map[string]string{"client": "Client", "applicationtoken": "ApplicationToken"}[kind])
		key := client.ObjectKey{Name: name}
		if kind != "client" {
			key.Namespace = w.name
		}
		if err := admin.Get(ctx, key, o); err != nil {
			return false
		}
		var err error
		last, err = status.Compute(o)
		w.must(err)
		return last.Status == want
	})
}

func (w *tenant) kstatusOf(o client.Object) *status.Result {
	w.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	w.must(err)
	r, err := status.Compute(&unstructuredObject{Object: fields})
	w.must(err)
	return r
}

// assertEqualYAML compares two values by their YAML.
func assertEqualYAML(t *testing.T, what string, got, want any) {
	t.Helper()
	a, errA := yaml.Marshal(got)
	b, errB := yaml.Marshal(want)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s is\n%s\nwant\n%s", what, a, b)
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
