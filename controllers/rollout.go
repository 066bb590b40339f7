package controllers

import (
	"context"
	"slices"
	"sync"
	"time"

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

// rolloutLooks remembers what the last look at the rollouts of each token has found, so that a pass
// that something else brings about reads no workloads. The zero value is empty and ready; what a
// crash loses is looked at once more.
type rolloutLooks struct {
	mu sync.Mutex
	of map[types.UID]rolloutLook
}

type rolloutLook struct {
	generation int64
	record     string
	rollout    string // see incompleteRollout
	at         time.Time
}

func (m *rolloutLooks) keep(at *v1alpha1.ApplicationToken, l rolloutLook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[types.UID]rolloutLook{}
	}
	m.of[at.UID] = l
}

func (m *rolloutLooks) get(at *v1alpha1.ApplicationToken) rolloutLook {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of[at.UID]
}

func (m *rolloutLooks) forget(at *v1alpha1.ApplicationToken) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.of, at.UID)
}

// lookAtRollouts notes in s which rollout is not complete. It looks at the workloads only when the
// planner wants another look, or the spec or the current version is another one than at the last
// look.
func (r *ApplicationTokens) lookAtRollouts(ctx context.Context, now time.Time, at *v1alpha1.ApplicationToken, s *seen) {
	if len(at.Spec.Restart) == 0 {
		return
	}
	last := r.rollouts.get(at)
	s.Rollout, s.RolloutSeenAt = last.rollout, last.at
	if last.generation == at.Generation && last.record == s.Current.Record && now.Before(plan.NextLook(now, s.Observed)) {
		return
	}
	s.Rollout, s.RolloutSeenAt = r.incompleteRollout(ctx, at, s.Current.Record), now
	r.rollouts.keep(at, rolloutLook{at.Generation, s.Current.Record, s.Rollout, now})
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
		// Another tool may have taken the mark off since, and replaced the pods once more. A target
		// that an edit has added was not restarted yet.
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
