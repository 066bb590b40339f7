package controllers

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// restart restarts the consumers for the current version, each once: the mark on the pod template is the record's name,
// so that repeating it changes nothing. It returns when to try again what could not be had; zero: nothing is left.
func (r *ApplicationTokens) restart(ctx context.Context, now time.Time, at *v1alpha1.ApplicationToken, s seen) time.Time {
	if len(at.Spec.Restart) == 0 {
		meta.RemoveStatusCondition(&at.Status.Conditions, v1alpha1.ConditionRestarted)
		at.Status.Restarted = ""
		return time.Time{}
	}
	done := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionRestarted)
	if s.Current == nil || at.Status.Restarted == s.Current.Record && done != nil && done.Status == metav1.ConditionTrue && done.ObservedGeneration == at.Generation {
		return time.Time{}
	}
	if until, waits := r.restarts.waitsUntil(now, at, s.Current.Record); waits {
		return until
	}
	condition := metav1.Condition{
		Type: v1alpha1.ConditionRestarted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRestarted,
		Message: "every restart target runs with the current version, or is on its way to",
	}
	failed := false
	for _, target := range at.Spec.Restart {
		err := r.restartOne(ctx, at, target, s.Current.Record)
		if err == nil || failed {
			continue // the first that could not be had is told of; the others are restarted all the same
		}
		failed = true
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonRestartFailed
		condition.Message = fmt.Sprintf("%s %s could not be restarted (%s); tried again at growing intervals", target.Kind, target.Name, apierrors.ReasonForError(err))
		if apierrors.IsNotFound(err) {
			condition.Reason = v1alpha1.ReasonRestartTargetMissing
			condition.Message = fmt.Sprintf("there is no %s %q in namespace %s; create it, or take it out of spec.restart", target.Kind, target.Name, at.Namespace)
		}
	}
	setCondition(now, at, condition)
	if failed {
		return r.restarts.failed(now, at, s.Current.Record)
	}
	r.restarts.forget(at)
	at.Status.Restarted = s.Current.Record
	return time.Time{}
}

// restartOne marks the pod template of one workload, which makes its controller replace the pods.
func (r *ApplicationTokens) restartOne(ctx context.Context, at *v1alpha1.ApplicationToken, target v1alpha1.RestartTarget, recordName string) error {
	workload, template := workloadOf(target.Kind)
	if err := r.Live.Get(ctx, types.NamespacedName{Namespace: at.Namespace, Name: string(target.Name)}, workload); err != nil {
		return err
	}
	mark := v1alpha1.AnnotationRestartPrefix + at.Name
	if template.Annotations[mark] == recordName {
		return nil
	}
	before, ok := workload.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("no workload: %T", workload)
	}
	if template.Annotations == nil {
		template.Annotations = map[string]string{}
	}
	template.Annotations[mark] = recordName
	// Workloads are not watched, so no later read could wait for this write.
	return r.Client.Patch(ctx, workload, client.MergeFrom(before), client.DisableReadYourWritesConsistency)
}

// workloadOf is an empty workload of a kind, and the pod template in it.
func workloadOf(kind v1alpha1.RestartKind) (client.Object, *corev1.PodTemplateSpec) {
	switch kind {
	case v1alpha1.RestartStatefulSet:
		w := &appsv1.StatefulSet{}
		return w, &w.Spec.Template
	case v1alpha1.RestartDaemonSet:
		w := &appsv1.DaemonSet{}
		return w, &w.Spec.Template
	case v1alpha1.RestartDeployment:
		fallthrough
	default:
		w := &appsv1.Deployment{}
		return w, &w.Spec.Template
	}
}
