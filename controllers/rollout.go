package controllers

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// rolloutsMatter reports whether p is a rotation while consumers may hold a predecessor. Only that is
// worth the reads.
func rolloutsMatter(p plan.Plan, o plan.Observed) bool {
	return p.Do == plan.Issue && o.Current != nil && slices.ContainsFunc(o.Others, func(v plan.Version) bool { return !v.SupersededAt.IsZero() })
}

// incompleteRollout returns the first restart target whose pods may not run with the current
// version yet, such as "Deployment indexer"; empty: none. A target that is not there has no pods.
// What cannot be read counts as incomplete.
func (r *ApplicationTokens) incompleteRollout(ctx context.Context, at *v1alpha1.ApplicationToken, recordName string) string {
	for _, target := range at.Spec.Restart {
		w := workloadOf(target.Kind)
		err := r.Live.Get(ctx, types.NamespacedName{Namespace: at.Namespace, Name: string(target.Name)}, w.object)
		if apierrors.IsNotFound(err) {
			continue
		}
		// Another tool may have taken the mark off since, and replaced the pods once more. A target that an edit has added was not
		// restarted yet.
		restarted := isRestarted(at, recordName) || w.template.Annotations[v1alpha1.AnnotationRestartPrefix+at.Name] == recordName
		if err != nil || !restarted || !isRolledOut(w.object) {
			return string(target.Kind) + " " + string(target.Name)
		}
	}
	return ""
}

// isRolledOut reports whether no pod of an earlier template is left. A workload of which no
// controller has reported anything has no pods yet.
func isRolledOut(workload client.Object) bool {
	observed, updated := reportedRollout(workload)
	return observed == 0 || observed >= workload.GetGeneration() && updated
}

// reportedRollout returns the generation that the controller of a workload has reported last, zero
// for none, and whether all pods were of its template then.
func reportedRollout(workload client.Object) (observed int64, updated bool) {
	switch w := workload.(type) {
	case *appsv1.Deployment:
		s := w.Status
		return s.ObservedGeneration, s.UpdatedReplicas >= replicas(w.Spec.Replicas) && s.Replicas <= s.UpdatedReplicas
	case *appsv1.StatefulSet:
		s := w.Status
		return s.ObservedGeneration, s.UpdateRevision == s.CurrentRevision || s.UpdatedReplicas >= replicas(w.Spec.Replicas)
	case *appsv1.DaemonSet:
		s := w.Status
		return s.ObservedGeneration, s.UpdatedNumberScheduled >= s.DesiredNumberScheduled
	}
	return 0, false
}

// replicas returns how many pods a workload asks for. The default is one.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
