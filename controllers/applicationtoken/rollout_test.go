package applicationtoken_test

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
)

// consumers are workloads of two pods, each with a function that reports how many pods are of the
// current template.
var consumers = map[v1alpha1.RestartKind]struct {
	create func(m metav1.ObjectMeta, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) client.Object
	report func(o client.Object, updated int32)
}{
	v1alpha1.RestartDeployment: {
		func(m metav1.ObjectMeta, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) client.Object {
			return &appsv1.Deployment{ObjectMeta: m, Spec: appsv1.DeploymentSpec{Replicas: new(int32(2)), Selector: selector, Template: pod}}
		},
		func(o client.Object, updated int32) {
			s := &o.(*appsv1.Deployment).Status
			s.ObservedGeneration, s.UpdatedReplicas, s.Replicas = o.GetGeneration(), updated, 2
		},
	},
	v1alpha1.RestartStatefulSet: {
		func(m metav1.ObjectMeta, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) client.Object {
			return &appsv1.StatefulSet{ObjectMeta: m, Spec: appsv1.StatefulSetSpec{Replicas: new(int32(2)), Selector: selector, Template: pod}}
		},
		func(o client.Object, updated int32) {
			s := &o.(*appsv1.StatefulSet).Status
			s.ObservedGeneration, s.UpdatedReplicas, s.Replicas = o.GetGeneration(), updated, 2
			s.CurrentRevision, s.UpdateRevision = "before", "after"
		},
	},
	v1alpha1.RestartDaemonSet: {
		func(m metav1.ObjectMeta, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) client.Object {
			return &appsv1.DaemonSet{ObjectMeta: m, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: pod}}
		},
		func(o client.Object, updated int32) {
			s := &o.(*appsv1.DaemonSet).Status
			s.ObservedGeneration, s.UpdatedNumberScheduled, s.DesiredNumberScheduled = o.GetGeneration(), updated, 2
		},
	},
}

// Threats row 22: a consumer that reads its environment holds a predecessor until its pods are
// replaced.
func TestRotate_WaitsForRolloutOfConsumer(t *testing.T) {
	for kind, c := range consumers {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "reader"}}
			workload := c.create(metav1.ObjectMeta{Namespace: w.Namespace, Name: "reader"}, selector, corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: selector.MatchLabels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "reader", Image: "reader"}}},
			})
			w.Must(api.Create(w.Ctx, workload))
			w.Must(w.DeclareToken())
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
				at.Spec.Restart = []v1alpha1.RestartTarget{{Kind: kind, Name: "reader"}}
			}))
			o := w.NewOperator(api, api)
			w.Must(o.Settle())
			reported := func(updated int32) {
				t.Helper()
				w.Must(api.Get(w.Ctx, client.ObjectKeyFromObject(workload), workload))
				c.report(workload, updated)
				w.Must(api.Status().Update(w.Ctx, workload))
			}
			expect := func(step string, version int64, pending bool) {
				t.Helper()
				w.Must(o.Settle())
				w.Must(w.CheckInvariants())
				if r := w.NewestRecord(); r.Version != version {
					t.Errorf("%s: version %d, not %d", step, r.Version, version)
				}
				p := meta.FindStatusCondition(w.Token().Status.Conditions, v1alpha1.ConditionRotationPending)
				if (p != nil) != pending || pending && (p.Reason != v1alpha1.ReasonRolloutIncomplete || !strings.Contains(p.Message, string(kind)+" reader")) {
					t.Errorf("%s: %+v", step, p)
				}
			}
			reported(2)
			first := w.TokenInSecret()
			w.Must(setTrigger("2")(w))
			expect("every pod runs with the first version", 2, false)
			w.Now = w.Now.Add(10 * time.Minute)
			for _, value := range []string{"3", "4", "5"} {
				w.Must(setTrigger(value)(w))
				expect("the rollout of the second is not observed", 2, true)
			}
			reported(1)
			w.Now = w.Now.Add(2 * time.Minute)
			expect("one of two pods is replaced", 2, true)
			if !w.IsAccepted(first) {
				t.Error("the token that the other pod holds is refused")
			}
			reported(2)
			w.Now = w.Now.Add(time.Minute)
			expect("it is too early to observe it again", 2, true)
			w.Now = w.Now.Add(time.Minute)
			expect("both are", 3, false)
		})
	}
}

func TestRotate_LooksAtRolloutOnceInEachInterval(t *testing.T) {
	w := newFixture(t)
	w.makeDeployment(nil)
	w.declareRestarting(deploymentTarget)
	reads := 0
	live := interceptor.NewClient(api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			if _, ok := obj.(*appsv1.Deployment); ok {
				reads++
			}
			return c.Get(ctx, key, obj, o...)
		},
	})
	o := w.NewOperator(api, live)
	w.Must(o.Settle())
	first := w.NewestRecordName()
	w.Must(setTrigger("2")(w))
	w.Must(o.Settle())
	var d appsv1.Deployment
	w.Must(api.Get(w.Ctx, client.ObjectKey{Namespace: w.Namespace, Name: "reader"}, &d))
	d.Status.ObservedGeneration = d.Generation - 1
	w.Must(api.Status().Update(w.Ctx, &d))
	w.Now = w.Now.Add(10 * time.Minute)
	w.Must(setTrigger("3")(w))
	w.Must(o.Settle())
	reads = 0
	for range 13 { // a minute
		w.Now = w.Now.Add(5 * time.Second)
		w.Must(w.Store().Use(w.Ctx, first, w.Now, ""))
		w.Must(o.Settle())
	}
	if r := w.NewestRecord(); r.Version != 2 {
		t.Errorf("version %d follows while the rollout is not complete", r.Version)
	}
	if reads != 1 {
		t.Errorf("the workload was read %d times, not once in a tenth of the time that the rollout takes", reads)
	}
}

// Threats row 22.
func TestRotate_WaitsForConsumerThatSpecAdds(t *testing.T) {
	w := newFixture(t)
	w.makeDeployment(nil)
	w.declareRestarting(deploymentTarget)
	o := w.NewOperator(api, api)
	w.Must(o.Settle())
	added := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "added"},
		Spec:       appsv1.DeploymentSpec{Selector: consumerSelector, Template: consumerPod(nil)},
	}
	w.Must(api.Create(w.Ctx, added))
	rolledOut := func(name string) {
		t.Helper()
		var d appsv1.Deployment
		w.Must(api.Get(w.Ctx, client.ObjectKey{Namespace: w.Namespace, Name: name}, &d))
		d.Status.ObservedGeneration, d.Status.UpdatedReplicas, d.Status.Replicas = d.Generation, 1, 1
		w.Must(api.Status().Update(w.Ctx, &d))
	}
	rolledOut("added")
	w.Must(setTrigger("2")(w))
	w.Must(o.Settle())
	rolledOut("reader")
	w.Now = w.Now.Add(10 * time.Minute)
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
		at.Spec.Restart = append(at.Spec.Restart, v1alpha1.RestartTarget{Kind: v1alpha1.RestartDeployment, Name: "added"})
		at.Spec.Rotation.Trigger = "3"
	}))
	w.Must(o.Settle())
	if r := w.NewestRecord(); r.Version != 2 {
		t.Errorf("version %d follows while the pods of a target hold the first", r.Version)
	}
	rolledOut("added")
	w.Now = w.Now.Add(2 * time.Minute)
	w.Must(o.Settle())
	if r := w.NewestRecord(); r.Version != 3 {
		t.Errorf("then it is version %d", r.Version)
	}
}

func TestRotate_WaitsForNoMissingConsumer(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
		at.Spec.Restart = []v1alpha1.RestartTarget{{Kind: v1alpha1.RestartDeployment, Name: "missing"}}
	}))
	o := w.NewOperator(api, api)
	for version, value := range []string{"1", "2", "3"} {
		w.Must(setTrigger(value)(w))
		w.Must(o.Settle())
		if r := w.NewestRecord(); r.Version != int64(version+1) {
			t.Errorf("trigger %s: version %d", value, r.Version)
		}
		w.Now = w.Now.Add(10 * time.Minute)
	}
}

// Threats row 22.
func TestRotate_DeferredWithinMinOverlap(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	o := w.NewOperator(api, api)
	w.Must(o.Settle())
	first := w.TokenInSecret()
	pending := func(version int64, want bool) {
		t.Helper()
		w.Must(o.Settle())
		w.Must(w.CheckInvariants())
		p := meta.FindStatusCondition(w.Token().Status.Conditions, v1alpha1.ConditionRotationPending)
		if r := w.NewestRecord(); r.Version != version || (p != nil) != want || want && p.Reason != v1alpha1.ReasonMinOverlap {
			t.Errorf("version %d, %+v", r.Version, p)
		}
	}
	w.Must(setTrigger("2")(w))
	pending(2, false)
	for _, value := range []string{"3", "4", "5"} {
		w.Now = w.Now.Add(time.Second)
		w.Must(setTrigger(value)(w))
		pending(2, true)
	}
	if !w.IsAccepted(first) || !w.IsAccepted(w.TokenInSecret()) {
		t.Error("a version is refused within its minOverlap")
	}
	w.Now = w.Now.Add(10*time.Minute - 3*time.Second)
	pending(3, false)
	if r := w.NewestRecord(); r.Trigger != "5" {
		t.Errorf("then it is of trigger %s", r.Trigger)
	}

	// After a leak, an administrator deletes the record, and its successor waits for nothing.
	leaked := w.TokenInSecret()
	w.Must(setTrigger("6")(w))
	pending(3, true)
	w.Must(deleteRecord(w))
	pending(4, false)
	if w.IsAccepted(leaked) || !w.IsAccepted(w.TokenInSecret()) || !w.IsAccepted(first) {
		t.Errorf("the version that leaked is valid: %t, its successor: %t, the first: %t", w.IsAccepted(leaked), w.IsAccepted(w.TokenInSecret()), w.IsAccepted(first))
	}
}
