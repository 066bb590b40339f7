package restart

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/tokenspec"
)

// workload holds a restart target and the pod template in it.
type workload struct {
	object   client.Object
	template *corev1.PodTemplateSpec
}

// workloadOf returns an empty workload of a kind.
func workloadOf(kind v1alpha1.RestartKind) workload {
	switch kind {
	case v1alpha1.RestartStatefulSet:
		w := &appsv1.StatefulSet{}
		return workload{w, &w.Spec.Template}
	case v1alpha1.RestartDaemonSet:
		w := &appsv1.DaemonSet{}
		return workload{w, &w.Spec.Template}
	case v1alpha1.RestartDeployment:
		fallthrough
	default:
		w := &appsv1.Deployment{}
		return workload{w, &w.Spec.Template}
	}
}

// readyPods returns how many pods of a workload are ready.
func (w workload) readyPods() int32 {
	switch o := w.object.(type) {
	case *appsv1.Deployment:
		return o.Status.ReadyReplicas
	case *appsv1.StatefulSet:
		return o.Status.ReadyReplicas
	case *appsv1.DaemonSet:
		return o.Status.NumberReady
	default:
		return 0
	}
}

// whyPodsAreKept returns why the controller of a workload keeps pods that the template does not
// describe any more, and what to do. It returns "" if the controller replaces them, or has replaced
// them all.
func (w workload) whyPodsAreKept() string {
	const onDelete = "has the updateStrategy OnDelete: delete its pods, so that they start with the current version"
	if generation, updated := reportedRollout(w.object); updated && generation >= w.object.GetGeneration() {
		return ""
	}
	switch o := w.object.(type) {
	case *appsv1.Deployment:
		if o.Spec.Paused {
			return "is paused: resume it, so that its pods start with the current version"
		}
	case *appsv1.StatefulSet:
		strategy := o.Spec.UpdateStrategy
		if strategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
			return onDelete
		}
		if r := strategy.RollingUpdate; r != nil && r.Partition != nil && *r.Partition > 0 {
			return fmt.Sprintf("has an updateStrategy with partition %d, and keeps the pods below it: lower it to 0, so that they start with the current version", *r.Partition)
		}
	case *appsv1.DaemonSet:
		if o.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
			return onDelete
		}
	}
	return ""
}

// maxApplyTime bounds how long one apply takes from a workload to the token that it reads, or back.
const maxApplyTime = 5 * time.Second

// startedWithFirst reports whether the pods of a workload have started with the current version,
// which is the first. They have if the workload was created after the Secret. They also have if it
// was created just before, and no container that reads the Secret starts without it. A Secret that
// existed before the version may have been read with other content, however late the workload was
// created: the write of the version to the Secret may have failed for a while.
func startedWithFirst(at *v1alpha1.ApplicationToken, d Delivery, w workload) bool {
	secret := d.Secret
	if secret == nil || !d.IsOnly {
		return false
	}
	made, stored := w.object.GetCreationTimestamp().Time, secret.CreationTimestamp.Time
	switch {
	case d.IsAdopted, tokenspec.HasAdoptAnnotation(secret, at), stored.Before(d.Current.CreatedAt): // the record of a version comes before the Secret that is made for it
		return false
	case made.After(stored):
		return true
	default:
		waited := !d.IsDelivered || w.readyPods() == 0
		return waited && !made.Before(stored.Add(-maxApplyTime)) && needsSecret(w.template.Spec, secret.Name)
	}
}

// needsSecret reports whether pods read a Secret, and do not start without it.
func needsSecret(pod corev1.PodSpec, name string) bool {
	reads, optional := false, false
	note := func(secret string, isOptional *bool) {
		if secret == name {
			reads, optional = true, optional || isOptional != nil && *isOptional
		}
	}
	for _, v := range pod.Volumes {
		if v.Secret != nil {
			note(v.Secret.SecretName, v.Secret.Optional)
		}
		if v.Projected != nil {
			for _, p := range v.Projected.Sources {
				if p.Secret != nil {
					note(p.Secret.Name, p.Secret.Optional)
				}
			}
		}
	}
	for _, containers := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for _, c := range containers {
			visitEnvironment(c, note)
		}
	}
	return reads && !optional
}

// visitEnvironment notes each Secret that the environment of a container is read from.
func visitEnvironment(c corev1.Container, note func(secret string, isOptional *bool)) {
	for _, e := range c.EnvFrom {
		if e.SecretRef != nil {
			note(e.SecretRef.Name, e.SecretRef.Optional)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			note(e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Optional)
		}
	}
}
