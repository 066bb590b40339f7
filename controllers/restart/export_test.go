package restart

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// FirstStart holds what the operator observes of a Deployment that reads the Secret of a first
// version.
type FirstStart struct {
	Stored, Recorded, Made time.Time // creation times of the Secret, of the record and of the Deployment
	Delivered, Adopted     bool
	Ready                  int32
}

// IsSpared reports whether the Deployment is not restarted.
func (f FirstStart) IsSpared(pod corev1.PodTemplateSpec) bool {
	delivery := Delivery{
		Current: &plan.Version{Number: 1, CreatedAt: f.Recorded}, IsOnly: true, IsDelivered: f.Delivered, IsAdopted: f.Adopted,
		Secret: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "indexer", CreationTimestamp: metav1.NewTime(f.Stored)}},
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(f.Made)}, Status: appsv1.DeploymentStatus{ReadyReplicas: f.Ready}}
	d.Spec.Template = pod
	return startedWithFirst(&v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Name: "indexer"}}, delivery, workload{d, &d.Spec.Template})
}
