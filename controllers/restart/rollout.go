package restart

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

// NeedsRolloutCheck reports whether p is a rotation while consumers may hold a predecessor. Only
// then are the reads worth their cost.
func NeedsRolloutCheck(p plan.Plan, o plan.Observed) bool {
	return p.Do == plan.Issue && o.Current != nil && slices.ContainsFunc(o.Others, func(v plan.Version) bool { return !v.SupersededAt.IsZero() })
}

// rolloutObservations remembers the last observation of the rollouts of each token, so that a
// reconcile with another cause reads no workloads. The zero value is empty and ready. After a
// crash, each rollout is observed once more.
type rolloutObservations struct {
	mu      sync.Mutex
	byToken map[types.UID]rolloutObservation
}

type rolloutObservation struct {
	generation int64
	record     string
	rollout    string // see incompleteRollout
	at         time.Time
}

func (m *rolloutObservations) keep(at *v1alpha1.ApplicationToken, o rolloutObservation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byToken == nil {
		m.byToken = map[types.UID]rolloutObservation{}
	}
	m.byToken[at.UID] = o
}

func (m *rolloutObservations) get(at *v1alpha1.ApplicationToken) rolloutObservation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byToken[at.UID]
}

func (m *rolloutObservations) forget(at *v1alpha1.ApplicationToken) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byToken, at.UID)
}

// ObserveRollouts sets in o which rollout is incomplete. It reads the workloads only if the
// planner's interval has passed, or if the spec or the current version has changed since the last
// observation.
func (r *Restarter) ObserveRollouts(ctx context.Context, now time.Time, at *v1alpha1.ApplicationToken, o *plan.Observed) {
	if len(at.Spec.Restart) == 0 {
		return
	}
	last := r.rollouts.get(at)
	o.IncompleteRollout, o.RolloutSeenAt = last.rollout, last.at
	if last.generation == at.Generation && last.record == o.Current.Record && now.Before(plan.NextRolloutCheck(now, *o)) {
		return
	}
	o.IncompleteRollout, o.RolloutSeenAt = r.incompleteRollout(ctx, at, o.Current.Record), now
	r.rollouts.keep(at, rolloutObservation{at.Generation, o.Current.Record, o.IncompleteRollout, now})
}

// incompleteRollout returns the first restart target whose pods may not run with the current
// version yet, such as "Deployment indexer"; empty: none. A target that is missing has no pods. A
// target that cannot be read counts as incomplete.
func (r *Restarter) incompleteRollout(ctx context.Context, at *v1alpha1.ApplicationToken, recordName string) string {
	for _, target := range at.Spec.Restart {
		w := workloadOf(target.Kind)
		err := r.Live.Get(ctx, types.NamespacedName{Namespace: at.Namespace, Name: string(target.Name)}, w.object)
		if apierrors.IsNotFound(err) {
			continue
		}
		// Another tool may have removed the annotation since, and replaced the pods once more. A
		// target that an edit has added was not restarted yet.
		restarted := isRestarted(at, recordName) || w.template.Annotations[v1alpha1.AnnotationRestartPrefix+at.Name] == recordName
		if err != nil || !restarted || !isRolledOut(w.object) {
			return string(target.Kind) + " " + string(target.Name)
		}
	}
	return ""
}

// isRolledOut reports whether no pod of an earlier template is left. A workload about which no
// controller has reported anything has no pods yet.
func isRolledOut(workload client.Object) bool {
	generation, updated := reportedRollout(workload)
	return generation == 0 || generation >= workload.GetGeneration() && updated
}

// reportedRollout returns the generation that the controller of a workload has reported last, or
// zero for none. It reports whether all pods were of its template then.
func reportedRollout(workload client.Object) (generation int64, updated bool) {
	switch w := workload.(type) {
	case *appsv1.Deployment:
		s := w.Status
		return s.ObservedGeneration, s.UpdatedReplicas >= replicasOrOne(w.Spec.Replicas) && s.Replicas <= s.UpdatedReplicas
	case *appsv1.StatefulSet:
		s := w.Status
		return s.ObservedGeneration, s.UpdateRevision == s.CurrentRevision || s.UpdatedReplicas >= replicasOrOne(w.Spec.Replicas)
	case *appsv1.DaemonSet:
		s := w.Status
		return s.ObservedGeneration, s.UpdatedNumberScheduled >= s.DesiredNumberScheduled
	}
	return 0, false
}

// replicasOrOne returns how many pods a workload asks for. The default is one.
func replicasOrOne(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
