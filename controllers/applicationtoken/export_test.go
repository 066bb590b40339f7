package applicationtoken

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/tokenspec"
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
	s := observed{isDelivered: f.Delivered, isAdopted: f.Adopted, secret: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Name: "indexer", CreationTimestamp: metav1.NewTime(f.Stored),
	}}}
	s.Current = &plan.Version{Number: 1, CreatedAt: f.Recorded}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(f.Made)}, Status: appsv1.DeploymentStatus{ReadyReplicas: f.Ready}}
	d.Spec.Template = pod
	return startedWithFirst(&v1alpha1.ApplicationToken{ObjectMeta: metav1.ObjectMeta{Name: "indexer"}}, s, workload{d, &d.Spec.Template})
}

// NamedRecords returns the names of the records that are read for a Secret.
var NamedRecords = tokenspec.NamedRecords

// ExpiryMessage returns the message of ExpiringSoon.
var ExpiryMessage = expiryMessage

// AbsentTargets returns how many restart targets of a token are remembered as missing.
func (r *Reconciler) AbsentTargets(at *v1alpha1.ApplicationToken) int {
	r.restarts.mu.Lock()
	defer r.restarts.mu.Unlock()
	return len(r.restarts.absent[at.UID].targets)
}

// KeepsToken reports whether the plaintext of a token is kept in memory.
func (r *Reconciler) KeepsToken(at *v1alpha1.ApplicationToken) bool {
	_, offered := r.offeredTokens.get(at)
	_, pending := r.pendingTokens.get(at)
	return offered || pending
}

// ForgetDeleted returns the handler of the deletion of tokens.
func (r *Reconciler) ForgetDeleted() handler.EventHandler {
	return r.forgetDeleted(newTokenLocks())
}
