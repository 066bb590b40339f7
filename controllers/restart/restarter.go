package restart

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// Restarter restarts the workloads that spec.restart of a token names. It is safe for concurrent
// use. A crash loses its memory: then each restart is tried, and each rollout observed, once more.
type Restarter struct {
	Client client.Client
	Live   client.Reader // reads are from the API server

	retries  retries
	rollouts rolloutObservations
}

// Delivery holds what decides about a restart: the current version, and how it came into its
// Secret.
type Delivery struct {
	Current     *plan.Version  // nil: there is none
	IsOnly      bool           // there is no other version
	Secret      *corev1.Secret // that holds it; nil: there is none
	IsDelivered bool           // this pass put the version into the Secret
	IsAdopted   bool           // and the Secret existed before
}

// Restart restarts the consumers for the current version, each once, and sets the condition
// Restarted. The annotation on the pod template is the record's name, so that repeating the restart
// changes nothing. It returns when to retry what failed; zero: nothing is left.
func (r *Restarter) Restart(ctx context.Context, now time.Time, at *v1alpha1.ApplicationToken, d Delivery) time.Time {
	if len(at.Spec.Restart) == 0 {
		meta.RemoveStatusCondition(&at.Status.Conditions, v1alpha1.ConditionRestarted)
		at.Status.Restarted = ""
		return time.Time{}
	}
	if d.Current == nil || isRestarted(at, d.Current.Record) {
		return time.Time{}
	}
	if until, waits := r.retries.waitsUntil(now, at, d.Current.Record); waits {
		return until
	}
	condition := metav1.Condition{
		Type: v1alpha1.ConditionRestarted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRestarted,
		Message: "Every restart target runs with the current version, or its rollout is in progress",
	}
	var first restartProblem
	for _, target := range at.Spec.Restart {
		if found := r.restartOne(ctx, at, target, d); first.reason == "" {
			first = found // the other targets are restarted all the same
		}
	}
	if first.reason == v1alpha1.ReasonRestartTargetMissing && isApplying(now, at) { // the target may be about to be created
		return r.retries.recordFailure(now, at, d.Current.Record, at.CreationTimestamp.Add(maxApplyTime))
	}
	if first.reason != "" {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, first.reason, first.message
	}
	at.SetCondition(now, condition)
	if first.reason != "" {
		return r.retries.recordFailure(now, at, d.Current.Record, time.Time{})
	}
	r.retries.forget(at)
	at.Status.Restarted = d.Current.Record
	return time.Time{}
}

// isRestarted reports whether every restart target that the spec names now was restarted for a
// record.
func isRestarted(at *v1alpha1.ApplicationToken, record string) bool {
	done := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionRestarted)
	return at.Status.Restarted == record && done != nil && done.Status == metav1.ConditionTrue && done.ObservedGeneration == at.Generation
}

// restartProblem holds why a restart target does not get to the current version. The zero value
// means that it does.
type restartProblem struct{ reason, message string }

// isApplying reports whether the apply that created a token may still be in progress.
func isApplying(now time.Time, at *v1alpha1.ApplicationToken) bool {
	left := at.CreationTimestamp.Add(maxApplyTime).Sub(now)
	return left > 0 && left <= time.Minute // with a clock that is far behind, nothing waits
}

// restartOne annotates the pod template of one workload, which makes its controller replace the
// pods. Pods that started with the first version stay.
func (r *Restarter) restartOne(ctx context.Context, at *v1alpha1.ApplicationToken, target v1alpha1.RestartTarget, d Delivery) restartProblem {
	w, key := workloadOf(target.Kind), v1alpha1.AnnotationRestartPrefix+at.Name
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: at.Namespace, Name: string(target.Name)}, w.object)
	if err == nil && w.template.Annotations[key] != d.Current.Record {
		if d.Current.Number == 1 && (r.retries.wasAbsent(at, target, d.Current.Record) || startedWithFirst(at, d, w)) {
			return restartProblem{}
		}
		err = r.annotatePods(ctx, w, key, d.Current.Record)
	}
	if apierrors.IsNotFound(err) {
		if d.Current.Number == 1 { // only a first version spares a workload
			r.retries.noteAbsent(at, target, d.Current.Record)
		}
		return restartProblem{
			v1alpha1.ReasonRestartTargetMissing,
			fmt.Sprintf("There is no %s %q in namespace %s; create it, or remove it from spec.restart", target.Kind, target.Name, at.Namespace),
		}
	}
	if err != nil {
		return restartProblem{
			v1alpha1.ReasonRestartFailed,
			fmt.Sprintf("%s %s could not be restarted (%s); the operator retries at growing intervals", target.Kind, target.Name, apierrors.ReasonForError(err)),
		}
	}
	if why := w.whyPodsAreKept(); why != "" {
		return restartProblem{v1alpha1.ReasonRestartFailed, fmt.Sprintf("%s %s %s", target.Kind, target.Name, why)}
	}
	return restartProblem{}
}

// annotatePods sets an annotation on the pod template of a workload.
func (r *Restarter) annotatePods(ctx context.Context, w workload, key, value string) error {
	before, ok := w.object.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("not a workload: %T", w.object)
	}
	if w.template.Annotations == nil {
		w.template.Annotations = map[string]string{}
	}
	w.template.Annotations[key] = value
	// Workloads are not watched, so a later read could not wait for this write.
	return r.Client.Patch(ctx, w.object, client.MergeFrom(before), client.DisableReadYourWritesConsistency)
}

// Forget removes a token that is being deleted from memory.
func (r *Restarter) Forget(at *v1alpha1.ApplicationToken) {
	r.retries.forget(at)
	r.rollouts.forget(at)
}
