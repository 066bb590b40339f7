package applicationtoken_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// trimmingClient returns a client that serves reads as a cache does.
func trimmingClient(c client.WithWatch) client.WithWatch {
	return interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			err := c.Get(ctx, key, obj, o...)
			if secret, ok := obj.(*corev1.Secret); ok && err == nil && secret.Labels[v1alpha1.LabelManaged] != "true" {
				return c.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: "not-cached"}, obj)
			}
			if err == nil {
				_, err = directory.TrimForCache(obj)
			}
			return err
		},
	})
}

// The operator reads from the API server what a cache does not keep. A token lives as it does
// without a cache, and nothing is lost that other writers put on its objects.
func TestTrim_LargeObjectsBehaveAsSmallOnes(t *testing.T) {
	bulk := strings.Repeat("x", 100<<10)
	for name, grow := range map[string]func(w *fixture){
		"a large Secret": func(w *fixture) {
			var s corev1.Secret
			w.Must(api.Get(w.Ctx, w.Key(), &s))
			s.Annotations["example.com/note"] = bulk
			w.Must(api.Update(w.Ctx, &s))
		},
		"a large spec": func(w *fixture) {
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
				at.Annotations = map[string]string{"example.com/note": bulk}
				at.Labels = map[string]string{"team": "search"}
				at.Finalizers = append(at.Finalizers, "example.com/hold")
				at.Spec.Secret.Data = map[string]v1alpha1.Template{"token": "{{ .Token }}"}
				for i := range 8 {
					at.Spec.Secret.Data[fmt.Sprintf("key-%d", i)] = v1alpha1.Template(bulk[:4096])
				}
			}))
		},
		"a large request": func(w *fixture) {
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
				at.Annotations = map[string]string{v1alpha1.AnnotationRotate: bulk}
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			o := w.NewOperator(trimmingClient(api), api)
			steady := func(when string) {
				t.Helper()
				w.Must(o.Settle())
				w.Must(w.CheckInvariants())
				if reason, message := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonIssued {
					t.Fatalf("%s: %s: %s", when, reason, message)
				}
			}
			w.Must(w.DeclareToken())
			steady("it is small")
			grow(w)
			steady("it is large")
			delivered := len(w.History.Delivered)
			steady("nothing changes")
			if len(w.History.Delivered) != delivered {
				t.Error("a pass without a reason made a token")
			}
			w.Now = w.Now.Add(10 * time.Minute)
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
			steady("it is rotated")
			if len(w.History.Delivered) != delivered+1 {
				t.Errorf("%d tokens were delivered by one trigger", len(w.History.Delivered)-delivered)
			}
			var s corev1.Secret
			w.Must(api.Get(w.Ctx, w.Key(), &s))
			s.Data["token"] = []byte("altered")
			w.Must(api.Update(w.Ctx, &s))
			steady("it is altered")
			w.Must(api.Get(w.Ctx, w.Key(), &s))
			if name == "a large Secret" && s.Annotations["example.com/note"] != bulk {
				t.Error("a foreign annotation is gone")
			}
			at := w.Token()
			if name == "a large spec" && (at.Annotations["example.com/note"] != bulk || at.Labels["team"] != "search" || !slices.Contains(at.Finalizers, "example.com/hold")) {
				t.Error("what another client put on the token is gone")
			}
			w.Must(api.Delete(w.Ctx, at))
			w.Must(o.Settle())
			if n := w.RecordsLeft(); n != 0 {
				t.Errorf("%d records are left", n)
			}
			if name == "a large spec" {
				w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Finalizers = nil }))
			}
		})
	}
}
