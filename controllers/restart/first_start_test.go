package restart_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/apptoken/operator/controllers/restart"
)

func TestRestart_FirstVersionReplacesPodsOfOlderSecret(t *testing.T) {
	stored := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	pod := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "reader", Image: "reader",
		Env: []corev1.EnvVar{{Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "indexer"}, Key: "token",
		}}}},
	}}}}
	for name, c := range map[string]struct {
		twist  func(*restart.FirstStart)
		spared bool
	}{
		"it waits for the Secret":              {func(*restart.FirstStart) {}, true},
		"it is older than an apply takes":      {func(f *restart.FirstStart) { f.Made = stored.Add(-6 * time.Second) }, false},
		"its pods are ready without it":        {func(f *restart.FirstStart) { f.Ready = 1 }, false},
		"its pods became ready since":          {func(f *restart.FirstStart) { f.Ready, f.Delivered = 1, false }, true},
		"the Secret was there before":          {func(f *restart.FirstStart) { f.Adopted = true }, false},
		"the Secret is older than the version": {func(f *restart.FirstStart) { f.Recorded, f.Delivered = stored.Add(time.Second), false }, false},
		"it came just after an older Secret":   {func(f *restart.FirstStart) { f.Made, f.Adopted = stored.Add(time.Second), true }, false},
		"it came before a late write into an older Secret": {func(f *restart.FirstStart) {
			f.Recorded, f.Made, f.Delivered = stored.Add(time.Second), stored.Add(time.Minute), false
		}, false},
		"it came before a late write into an offered Secret": {func(f *restart.FirstStart) {
			f.Made, f.Adopted = stored.Add(time.Minute), true
		}, false},
		"it came after the Secret": {func(f *restart.FirstStart) { f.Made, f.Ready = stored.Add(time.Second), 1 }, true},
	} {
		f := restart.FirstStart{Stored: stored, Recorded: stored, Made: stored.Add(-time.Second), Delivered: true}
		c.twist(&f)
		if got := f.IsSpared(pod); got != c.spared {
			t.Errorf("%s: spared %v", name, got)
		}
	}
}
