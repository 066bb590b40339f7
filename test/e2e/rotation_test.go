package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

func TestRotate_IntervalRepeats(t *testing.T) { // [3.4]
	w := newSharedTenant(t)
	w.editClient(`{tokens: {minRotationInterval: 1s}}`)
	w.declareToken("indexer", `{rotation: {every: 3s, retire: {when: AfterOverlap, maxOverlap: 2s}}}`)
	first := w.currentDigest("indexer")
	w.waitUntil("indexer", "has rotated three times", func(at *v1alpha1.ApplicationToken) bool { return at.Status.Rotations >= 3 })
	w.waitEvent("indexer", "Normal Rotated: Version", "RotationDue")
	w.waitEvent("indexer", "Normal Retired: Version 1", "OverlapOver")
	w.waitAccepted("the first version", first, false)
}

func TestRotate_ScheduleIsKept(t *testing.T) {
	w := newSharedTenant(t)
	w.editClient(`{tokens: {minRotationInterval: 1s}}`)
	// Rotation is up to a minute later than the schedule, by a delay that depends on the token's
	// name. The test waits for the first of them.
	var at *v1alpha1.ApplicationToken
	for n := range 10 {
		name := fmt.Sprintf("indexer-%d", n)
		w.declareToken(name, `{rotation: {schedule: "* * * * *", timeZone: Europe/Zurich}}`)
		one := w.waitReady(name)
		minute := one.Status.Current.IssuedAt.Truncate(time.Minute).Add(time.Minute)
		next := one.Status.NextRotation
		if next == nil || next.Time.Before(minute) || !next.Time.Before(minute.Add(time.Minute)) {
			t.Fatalf("issued at %s, the next version is announced for %v, not within the minute from %s", one.Status.Current.IssuedAt, next, minute)
		}
		if at == nil || next.Before(at.Status.NextRotation) {
			at = one
		}
	}
	next := at.Status.NextRotation
	err := w.poll(3*time.Minute, func(ctx context.Context) bool {
		var now v1alpha1.ApplicationToken
		return admin.Get(ctx, client.ObjectKeyFromObject(at), &now) == nil && now.Status.Rotations == 1
	})
	if err != nil {
		t.Fatalf("no rotation at %s\n%s", next, w.describe())
	}
	if got := w.waitReady(at.Name).Status.Current.IssuedAt; got.Before(next) || got.Sub(next.Time) > 5*time.Second {
		t.Errorf("rotated at %s, announced for %s", got, next)
	}
}

func TestRotate_TriggerRotatesOnce(t *testing.T) { // [3.4]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {trigger: a}}`)
	first := w.currentDigest("indexer")
	w.editToken("indexer", `{rotation: {trigger: b}}`)
	at := w.waitVersion("indexer", 2)
	second := w.currentDigest("indexer")
	if first == second || !w.isAccepted(first) || !w.isAccepted(second) {
		t.Errorf("after a rotation, the old token is accepted: %t, the new one: %t", w.isAccepted(first), w.isAccepted(second))
	}
	if p := at.Status.Predecessors; len(p) != 1 || p[0].Record != first.RecordName() {
		t.Errorf("the predecessors are %v", p)
	}
	w.waitEvent("indexer", "Normal Rotated: Version 2", at.Status.Current.Hint, "Triggered")
	w.editToken("indexer", `{rotation: {trigger: b}, lifetime: 100h}`)
	w.waitReady("indexer")
	if records := w.records("indexer"); len(records) != 2 || w.currentDigest("indexer") != second {
		t.Errorf("the same trigger again made a version: there are %d records", len(records))
	}
}

func TestRotate_TwoTriggersRestartConsumersOnLastVersion(t *testing.T) { // [3.4] [row 22]
	w := newSharedTenant(t)
	w.createWorkload("Deployment", "indexer")
	w.declareToken("indexer", `{rotation: {trigger: "0", retire: {minOverlap: 1s}}, restart: [{kind: Deployment, name: indexer}]}`)
	w.waitReady("indexer")
	for _, trigger := range []string{"1", "2"} {
		w.editToken("indexer", fmt.Sprintf(`{rotation: {trigger: %q}}`, trigger))
	}
	last := w.waitUntil("indexer", "has served the last trigger", func(at *v1alpha1.ApplicationToken) bool {
		served := at.Status.ObservedGeneration == at.Generation && conditionOf(at, v1alpha1.ConditionRotationPending).Type == ""
		return served && isReady(at) && conditionOf(at, v1alpha1.ConditionRestarted).Status == metav1.ConditionTrue && at.Status.Restarted == at.Status.Current.Record
	})
	s := w.secret("indexer")
	records := w.records("indexer")
	if newest := records[0]; newest.Spec.Trigger != "2" || newest.Name != s.Annotations[v1alpha1.AnnotationRecord] || newest.Spec.SupersededAt != nil {
		t.Errorf("the Secret holds %s, the newest record is %s of trigger %q", s.Annotations[v1alpha1.AnnotationRecord], newest.Name, newest.Spec.Trigger)
	}
	if len(records) > 3 {
		t.Errorf("two triggers made %d versions", len(records)-1)
	}
	for _, r := range records[1:] {
		if r.Spec.SupersededAt == nil {
			t.Errorf("version %d is not superseded", r.Spec.Version)
		}
	}
	if mark := w.restartMark("Deployment", "indexer"); mark != last.Status.Current.Record {
		t.Errorf("the consumer runs with %s, the Secret holds %s", mark, last.Status.Current.Record)
	}
}

func TestRotate_KeepsAtMostThreePredecessors(t *testing.T) { // [row 28]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {trigger: "1", retire: {when: AfterOverlap, minOverlap: 0s}}}`)
	first := w.currentDigest("indexer")
	for n := range 3 {
		w.editToken("indexer", fmt.Sprintf(`{rotation: {trigger: again-%d}}`, n))
		w.waitVersion("indexer", int64(n+2))
	}
	w.editToken("indexer", `{rotation: {trigger: once-more}}`)
	at := w.waitUntil("indexer", "waits", func(at *v1alpha1.ApplicationToken) bool {
		return conditionOf(at, v1alpha1.ConditionRotationPending).Status == metav1.ConditionTrue
	})
	if !isReady(at) || at.Status.Rotations != 3 || !w.isAccepted(first) {
		t.Errorf("it rotated %d times; the first version is accepted: %t", at.Status.Rotations, w.isAccepted(first))
	}
	w.waitEvent("indexer", "Normal RotationPending", "Triggered")
	w.must(admin.Delete(t.Context(), &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: first.RecordName()}}))
	at = w.waitVersion("indexer", 5)
	if len(at.Status.Predecessors) != 3 || len(w.records("indexer")) != 4 || conditionOf(at, v1alpha1.ConditionRotationPending).Type != "" {
		t.Errorf("there are %d predecessors, %d records, %v", len(at.Status.Predecessors), len(w.records("indexer")), at.Status.Conditions)
	}
	w.waitAccepted("the predecessor whose record was deleted", first, false)
}

func TestRotate_EndsNoPredecessorAfterItsMinOverlap(t *testing.T) { // [row 22]
	w := newSharedTenant(t)
	w.declareToken("indexer", `{rotation: {trigger: "1", retire: {when: AfterOverlap, minOverlap: 0s}}}`)
	first := w.currentDigest("indexer")
	for n := range 4 {
		w.editToken("indexer", fmt.Sprintf(`{rotation: {trigger: again-%d}}`, n))
		if n < 3 {
			w.waitVersion("indexer", int64(n+2))
		}
	}
	at := w.waitUntil("indexer", "waits", func(at *v1alpha1.ApplicationToken) bool {
		return conditionOf(at, v1alpha1.ConditionRotationPending).Reason == v1alpha1.ReasonPredecessorsKept
	})
	if !isReady(at) || at.Status.Rotations != 3 || !w.isAccepted(first) {
		t.Errorf("it rotated %d times; the first version is accepted: %t", at.Status.Rotations, w.isAccepted(first))
	}
	w.editToken("indexer", `{rotation: {retire: {maxOverlap: 1s}}}`)
	w.waitVersion("indexer", 5)
	w.waitEvent("indexer", "Normal Retired: Version 1", "OverlapOver")
}

func TestRotate_NeverExtendsLife(t *testing.T) { // [3.5]
	t.Parallel()
	for sentence, c := range map[string]struct {
		spec string
		want func(r *v1alpha1.TokenRecord, issued metav1.Time) time.Time
	}{
		"a life that ends sooner than the overlap ends when it would have": {
			`{lifetime: 2h, rotation: {trigger: a, retire: {maxOverlap: 24h}}}`,
			func(_ *v1alpha1.TokenRecord, issued metav1.Time) time.Time { return issued.Add(2 * time.Hour) },
		},
		"a life without an end ends with the overlap": {
			`{rotation: {trigger: a, retire: {maxOverlap: 24h}}}`,
			func(r *v1alpha1.TokenRecord, _ metav1.Time) time.Time { return r.Spec.SupersededAt.Add(24 * time.Hour) },
		},
		"a longer life ends with the overlap": {
			`{lifetime: 100h, rotation: {trigger: a, retire: {maxOverlap: 1h}}}`,
			func(r *v1alpha1.TokenRecord, _ metav1.Time) time.Time { return r.Spec.SupersededAt.Add(time.Hour) },
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newSharedTenant(t)
			w.declareToken("indexer", c.spec)
			issued := w.waitReady("indexer").Status.Current.IssuedAt
			w.editToken("indexer", `{rotation: {trigger: b}}`)
			at := w.waitVersion("indexer", 2)
			r := w.records("indexer")[1]
			if got, want := r.Spec.ExpiresAt, c.want(&r, issued); got == nil || !got.Time.Equal(want) || !at.Status.Predecessors[0].RetiresAt.Equal(got) {
				t.Errorf("the predecessor ends at %v, says the status at %v, want %s", got, at.Status.Predecessors[0].RetiresAt, want)
			}
		})
	}
}

func TestRotate_BeforeExpiry(t *testing.T) {
	w := newSharedTenant(t)
	w.editClient(`{tokens: {minRotationInterval: 1s}}`)
	w.declareToken("indexer", `{lifetime: 6s, rotation: {every: 24h, retire: {maxOverlap: 2s}}}`)
	first := w.currentDigest("indexer")
	w.waitVersion("indexer", 2)
	second := w.currentDigest("indexer")
	if !w.isAccepted(second) {
		t.Error("the successor is not accepted")
	}
	w.waitEvent("indexer", "Normal Rotated: Version 2", "ExpiryNear")
	w.waitAccepted("the one before", first, false)
}

func TestRestart_OncePerVersion(t *testing.T) { // [row 22]
	w := newSharedTenant(t)
	kinds := []string{"Deployment", "StatefulSet", "DaemonSet"}
	restart := `restart: [`
	for _, kind := range kinds {
		w.createWorkload(kind, "reader")
		restart += `{kind: ` + kind + `, name: reader},`
	}
	w.declareToken("indexer", `{rotation: {trigger: a}, `+restart+`]}`)
	restarted := func(at *v1alpha1.ApplicationToken) bool {
		c := conditionOf(at, v1alpha1.ConditionRestarted)
		return isReady(at) && c.Status == metav1.ConditionTrue && c.ObservedGeneration == at.Generation && at.Status.Restarted == at.Status.Current.Record
	}
	marks := func(at *v1alpha1.ApplicationToken, generation int64) {
		t.Helper()
		for _, kind := range kinds {
			if mark := w.restartMark(kind, "reader"); mark != at.Status.Current.Record {
				t.Errorf("the %s runs with %q, the Secret holds %s", kind, mark, at.Status.Current.Record)
			}
			if got := w.consumer(kind, "reader").GetGeneration(); got != generation {
				t.Errorf("the %s was restarted %d times, want %d", kind, got-1, generation-1)
			}
		}
	}
	marks(w.waitUntil("indexer", "has restarted its consumers", restarted), 2)

	w.editToken("indexer", `{rotation: {trigger: b}}`)
	marks(w.waitUntil("indexer", "has restarted them for version 2", func(at *v1alpha1.ApplicationToken) bool {
		return restarted(at) && at.Status.Rotations == 1
	}), 3)

	// No restart without a new version: not for another label, another role or another target.
	w.editToken("indexer", `{secret: {labels: {team: search}}, roles: [primary, writer]}`)
	w.waitUntil("indexer", "has followed the edit", restarted)
	w.editToken("indexer", `{`+restart[:len(restart)-1]+`]}`)
	marks(w.waitUntil("indexer", "has followed the edit", restarted), 3)
}

// consumer returns a workload of the tenant.
func (w *tenant) consumer(kind, name string) client.Object {
	w.Helper()
	o := map[string]client.Object{"Deployment": &appsv1.Deployment{}, "StatefulSet": &appsv1.StatefulSet{}, "DaemonSet": &appsv1.DaemonSet{}}[kind]
	if !w.get(name, o) {
		w.Fatalf("there is no %s %s", kind, name)
	}
	return o
}

// createWorkload creates a consumer. No pods run: there is an API server alone.
func (w *tenant) createWorkload(kind, name string) {
	w.Helper()
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: selector.MatchLabels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "reader", Image: "reader"}}},
	}
	meta := metav1.ObjectMeta{Namespace: w.name, Name: name}
	w.must(admin.Create(w.Context(), map[string]client.Object{
		"Deployment":  &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}},
		"StatefulSet": &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}},
		"DaemonSet":   &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}},
	}[kind]))
}

// restartMark returns the record that a consumer was last restarted for by the token indexer.
func (w *tenant) restartMark(kind, name string) string {
	w.Helper()
	var template corev1.PodTemplateSpec
	switch o := w.consumer(kind, name).(type) {
	case *appsv1.Deployment:
		template = o.Spec.Template
	case *appsv1.StatefulSet:
		template = o.Spec.Template
	case *appsv1.DaemonSet:
		template = o.Spec.Template
	}
	if others := len(template.Annotations); others > 1 {
		w.Errorf("the %s has annotations beside the mark: %v", kind, template.Annotations)
	}
	return template.Annotations[v1alpha1.AnnotationRestartPrefix+"indexer"]
}
