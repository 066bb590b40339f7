package applicationtoken_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// orphanSecret removes the owner reference, as the Kubernetes garbage collector does on deletion
// with --cascade=orphan.
func (w *fixture) orphanSecret() {
	w.editSecret(func(s *corev1.Secret) { s.OwnerReferences = nil })
}

// The Kubernetes garbage collector and the operator write the Secret at the same time.
func TestDelete_OrphaningNeverLeavesTheSecret(t *testing.T) {
	for name, c := range map[string]struct {
		before  func(*fixture)                       // runs before the operator observes the deletion
		instead func(w *fixture, deletion int) error // replaces the operator's deletion of the Secret; nil: the deletion is carried out
	}{
		"before the operator looks": {before: (*fixture).orphanSecret},
		"while the operator deletes": {instead: func(w *fixture, deletion int) error {
			if deletion == 1 {
				w.orphanSecret()
			}
			return nil
		}},
		"and the operator crashes": {instead: func(w *fixture, deletion int) error {
			if deletion == 1 {
				w.orphanSecret()
				return operatortest.ErrCrash
			}
			return nil
		}},
		"and the API server is in trouble": {instead: func(w *fixture, deletion int) error {
			if deletion == 1 {
				w.orphanSecret()
			}
			if deletion <= 2 {
				return operatortest.ErrInternal
			}
			return nil
		}},
		"and another client writes the Secret again and again": {instead: func(w *fixture, deletion int) error {
			if deletion <= 7 {
				w.editSecret(func(s *corev1.Secret) {
					s.OwnerReferences = nil
					if s.Labels == nil {
						s.Labels = map[string]string{}
					}
					s.Labels["n"] = strings.Repeat("x", deletion)
				})
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.Must(w.DeclareToken())
			deletions := 0
			counted := w.Faults(0, operatortest.FaultMode{}).Wrap(api)
			fragile := interceptor.NewClient(counted, interceptor.Funcs{
				Delete: func(ctx context.Context, under client.WithWatch, obj client.Object, o ...client.DeleteOption) error {
					if _, is := obj.(*corev1.Secret); is && c.instead != nil {
						deletions++
						if err := c.instead(w, deletions); err != nil {
							return err
						}
					}
					return under.Delete(ctx, obj, o...)
				},
			})
			o := w.NewOperator(trimmingClient(fragile), fragile)
			w.Must(o.Settle())
			if c.before != nil {
				c.before(w)
			}
			w.Must(api.Delete(w.Ctx, w.Token()))
			if err := o.Settle(); err != nil { // after a crash
				w.Must(w.NewOperator(trimmingClient(fragile), fragile).Settle())
			}
			if err := api.Get(w.Ctx, w.Key(), &v1alpha1.ApplicationToken{}); !apierrors.IsNotFound(err) {
				t.Errorf("the ApplicationToken: %v", err)
			}
			if err := api.Get(w.Ctx, w.Key(), &corev1.Secret{}); !apierrors.IsNotFound(err) || w.RecordsLeft() != 0 {
				t.Errorf("the Secret: %v; %d records are left", err, w.RecordsLeft())
			}
			w.Must(w.DeclareToken())
			w.Must(w.startWithCache().Settle())
			if reason, message := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonIssued {
				t.Errorf("a namesake is %s: %s", reason, message)
			}
		})
	}
}

// A Secret that an older release left proves nothing that a new token could trust.
func TestDelete_LeftoverSecretIsReportedToNextToken(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	o := w.startWithCache()
	w.Must(o.Settle())
	var left corev1.Secret
	w.Must(api.Get(w.Ctx, w.Key(), &left))
	w.Must(api.Delete(w.Ctx, w.Token()))
	w.Must(o.Settle())
	left.ResourceVersion, left.UID, left.OwnerReferences = "", types.UID(""), nil
	w.Must(api.Create(w.Ctx, &left))
	w.Must(w.DeclareToken())
	w.Must(o.Settle())
	reason, message := operatortest.Readiness(w.Token())
	if reason != v1alpha1.ReasonSecretTaken || !strings.Contains(message, "is gone") || !strings.Contains(message, "delete it") {
		t.Errorf("the namesake is %s: %s", reason, message)
	}
	w.Must(api.Delete(w.Ctx, &left))
	w.Must(o.Settle())
	if reason, _ := operatortest.Readiness(w.Token()); reason != v1alpha1.ReasonIssued {
		t.Errorf("without the Secret, the namesake is %s", reason)
	}
}
