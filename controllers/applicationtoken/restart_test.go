package applicationtoken_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// consumerPod returns the template of a workload. It reads the Secret of the token if source is not
// nil.
func consumerPod(source *corev1.EnvVarSource) corev1.PodTemplateSpec {
	c := corev1.Container{Name: "reader", Image: "reader"}
	if source != nil {
		c.Env = []corev1.EnvVar{{Name: "TOKEN", ValueFrom: source}}
	}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "reader"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{c}},
	}
}

func fromSecret(optional *bool) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: "indexer"}, Key: "token", Optional: optional,
	}}
}

var consumerSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "reader"}}

func (w *fixture) makeDeployment(source *corev1.EnvVarSource) {
	w.T.Helper()
	w.Must(api.Create(w.Ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "reader"},
		Spec:       appsv1.DeploymentSpec{Selector: consumerSelector, Template: consumerPod(source)},
	}))
}

func (w *fixture) declareRestarting(targets ...v1alpha1.RestartTarget) {
	w.T.Helper()
	w.Must(w.DeclareToken())
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Restart = targets }))
}

func (w *fixture) restartMark() string {
	w.T.Helper()
	var d appsv1.Deployment
	w.Must(api.Get(w.Ctx, client.ObjectKey{Namespace: w.Namespace, Name: "reader"}, &d))
	return d.Spec.Template.Annotations[v1alpha1.AnnotationRestartPrefix+"indexer"]
}

// restartedCondition returns the condition Restarted, with status Unknown if it is absent.
func (w *fixture) restartedCondition() metav1.Condition {
	w.T.Helper()
	var at v1alpha1.ApplicationToken
	w.Must(api.Get(w.Ctx, w.Key(), &at))
	if c := meta.FindStatusCondition(at.Status.Conditions, v1alpha1.ConditionRestarted); c != nil {
		return *c
	}
	return metav1.Condition{Status: metav1.ConditionUnknown}
}

var deploymentTarget = v1alpha1.RestartTarget{Kind: v1alpha1.RestartDeployment, Name: "reader"}

func TestRestart_FirstVersionSparesWorkloadThatStartedWithIt(t *testing.T) {
	for name, c := range map[string]struct {
		source *corev1.EnvVarSource
		spared bool
	}{
		"it needs the Secret":             {fromSecret(nil), true},
		"it starts without the Secret":    {fromSecret(new(true)), false},
		"it does not refer to the Secret": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			o := w.NewOperator(api, api)
			w.makeDeployment(c.source)
			w.declareRestarting(deploymentTarget)
			w.Must(o.Settle())
			if got := w.restartMark(); (got == "") != c.spared {
				t.Errorf("the mark of the first version is %q", got)
			}
			if s := w.restartedCondition().Status; s != metav1.ConditionTrue {
				t.Errorf("Restarted is %s", s)
			}
			w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
			w.Must(o.Settle())
			if got := w.restartMark(); got != w.NewestRecordName() {
				t.Errorf("the mark of the second version is %q", got)
			}
		})
	}
}

func TestRestart_AdoptedSecretSparesNoWorkload(t *testing.T) {
	w := newFixture(t)
	o := w.NewOperator(api, api)
	w.Must(api.Create(w.Ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Namespace, Name: "indexer",
			Labels: map[string]string{v1alpha1.LabelManaged: "true"}, Annotations: map[string]string{v1alpha1.AnnotationAdopt: "indexer"},
		},
		StringData: map[string]string{"token": "written by hand"},
	}))
	w.makeDeployment(fromSecret(nil))
	w.declareRestarting(deploymentTarget)
	w.Must(o.Settle())
	if got := w.restartMark(); got != w.NewestRecordName() {
		t.Errorf("the workload that may have read the Secret before has the mark %q", got)
	}
}

func TestRestart_TokenMayComeBeforeItsWorkload(t *testing.T) {
	for name, source := range map[string]*corev1.EnvVarSource{"that reads the Secret": fromSecret(nil), "that does not refer to it": nil} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			o := w.NewOperator(api, api)
			w.declareRestarting(deploymentTarget)
			w.Must(o.Settle())
			if c := w.restartedCondition(); c.Status != metav1.ConditionUnknown {
				t.Errorf("within one apply, Restarted is %s %s", c.Status, c.Reason)
			}
			w.makeDeployment(source)
			w.Now = w.Now.Add(time.Minute)
			w.Must(o.Settle())
			if got := w.restartMark(); got != "" {
				t.Errorf("the workload that came after the token is marked %q", got)
			}
			if c := w.restartedCondition(); c.Status != metav1.ConditionTrue {
				t.Errorf("Restarted is %s %s", c.Status, c.Reason)
			}
		})
	}
}

func TestRestart_MissingTargetDelaysNoOther(t *testing.T) {
	w := newFixture(t)
	o := w.NewOperator(api, api)
	w.makeDeployment(nil)
	w.declareRestarting(v1alpha1.RestartTarget{Kind: v1alpha1.RestartStatefulSet, Name: "missing"}, deploymentTarget)
	w.Must(o.Settle())
	if got := w.restartMark(); got != w.NewestRecordName() {
		t.Errorf("the target behind the missing one has the mark %q", got)
	}
	w.Now = w.Now.Add(time.Minute)
	w.Must(o.Settle())
	if c := w.restartedCondition(); c.Reason != v1alpha1.ReasonRestartTargetMissing {
		t.Errorf("Restarted is %s %s", c.Status, c.Reason)
	}
}

func TestRestart_RemembersNoMissingTargetThatSpecDropped(t *testing.T) {
	w := newFixture(t)
	o := w.NewOperator(api, api)
	w.declareRestarting(v1alpha1.RestartTarget{Kind: v1alpha1.RestartStatefulSet, Name: "missing"})
	for i := range 4 {
		w.Now = w.Now.Add(time.Minute)
		w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) {
			at.Spec.Restart = append(at.Spec.Restart[:1], v1alpha1.RestartTarget{Kind: v1alpha1.RestartDeployment, Name: v1alpha1.ObjectName(fmt.Sprint("missing-", i))})
		}))
		w.Must(o.Settle())
	}
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Rotation.Trigger = "2" }))
	w.Now = w.Now.Add(time.Hour)
	w.Must(o.Settle())
	w.makeDeployment(nil)
	w.Must(w.EditToken(func(at *v1alpha1.ApplicationToken) { at.Spec.Restart = append(at.Spec.Restart[:1], deploymentTarget) }))
	w.Must(o.Settle())
	if got := w.restartMark(); got != w.NewestRecordName() {
		t.Errorf("the mark of the second version is %q", got)
	}
}

func TestRestart_ReportsWorkloadsThatKeepTheirPods(t *testing.T) {
	meta := func(w *fixture) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: w.Namespace, Name: "reader"} }
	statefulSet := func(strategy appsv1.StatefulSetUpdateStrategy) func(*fixture) client.Object {
		return func(w *fixture) client.Object {
			return &appsv1.StatefulSet{ObjectMeta: meta(w), Spec: appsv1.StatefulSetSpec{Selector: consumerSelector, Template: consumerPod(nil), UpdateStrategy: strategy}}
		}
	}
	updateStatefulSet := func(w *fixture, o client.Object) error {
		s := o.(*appsv1.StatefulSet)
		s.Status = appsv1.StatefulSetStatus{ObservedGeneration: s.Generation, Replicas: 1, UpdatedReplicas: 1}
		return api.Status().Update(w.Ctx, s)
	}
	for name, c := range map[string]struct {
		kind   v1alpha1.RestartKind
		object func(*fixture) client.Object
		says   string
		solve  func(*fixture, client.Object) error
	}{
		"a Deployment that is paused": {
			v1alpha1.RestartDeployment, func(w *fixture) client.Object {
				return &appsv1.Deployment{ObjectMeta: meta(w), Spec: appsv1.DeploymentSpec{Paused: true, Selector: consumerSelector, Template: consumerPod(nil)}}
			}, "Deployment reader is paused: resume it", func(w *fixture, o client.Object) error {
				d := o.(*appsv1.Deployment)
				d.Spec.Paused = false
				return api.Update(w.Ctx, d)
			},
		},
		"a StatefulSet with OnDelete": {
			v1alpha1.RestartStatefulSet, statefulSet(appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}),
			"StatefulSet reader has the updateStrategy OnDelete: delete its pods", updateStatefulSet,
		},
		"a StatefulSet with a partition": {
			v1alpha1.RestartStatefulSet, statefulSet(appsv1.StatefulSetUpdateStrategy{
				Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(2))},
			}), "partition 2", updateStatefulSet,
		},
		"a DaemonSet with OnDelete": {
			v1alpha1.RestartDaemonSet, func(w *fixture) client.Object {
				return &appsv1.DaemonSet{ObjectMeta: meta(w), Spec: appsv1.DaemonSetSpec{
					Selector: consumerSelector, Template: consumerPod(nil), UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType},
				}}
			}, "DaemonSet reader has the updateStrategy OnDelete: delete its pods", func(w *fixture, o client.Object) error {
				s := o.(*appsv1.DaemonSet)
				s.Status = appsv1.DaemonSetStatus{ObservedGeneration: s.Generation, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 2}
				return api.Status().Update(w.Ctx, s)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			o := w.NewOperator(api, api)
			object := c.object(w)
			w.Must(api.Create(w.Ctx, object))
			w.declareRestarting(v1alpha1.RestartTarget{Kind: c.kind, Name: "reader"})
			w.Must(o.Settle())
			if got := w.restartedCondition(); got.Reason != v1alpha1.ReasonRestartFailed || !strings.Contains(got.Message, c.says) {
				t.Errorf("Restarted is %s %s: %s", got.Status, got.Reason, got.Message)
			}
			w.Must(api.Get(w.Ctx, client.ObjectKeyFromObject(object), object))
			if object.GetGeneration() != 2 {
				t.Errorf("its template was changed %d times", object.GetGeneration()-1)
			}
			w.Must(c.solve(w, object))
			w.Now = w.Now.Add(time.Hour)
			w.Must(o.Settle())
			if got := w.restartedCondition(); got.Status != metav1.ConditionTrue {
				t.Errorf("then Restarted is %s %s: %s", got.Status, got.Reason, got.Message)
			}
		})
	}
}
