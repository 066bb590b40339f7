package controllers

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
)

// Delays after which the operator tries again what the cluster refuses and does not announce: a Secret that a quota or a policy
// refuses, a restart target that is missing. The delay doubles with each failure, so that a tenant with thousands of such
// tokens costs little.
const (
	minRetryDelay = time.Minute
	maxRetryDelay = 32 * time.Minute // the sixth delay
)

// retryDelay returns the delay after so many failures in a row, from 1.
func retryDelay(failures int) time.Duration {
	delay := minRetryDelay
	for ; failures > 1 && delay < maxRetryDelay; failures-- {
		delay *= 2
	}
	return min(delay, maxRetryDelay)
}

// restartRetries remembers which restarts failed and when each is tried again. A new version, or a changed spec, is tried at
// once. The zero value is empty and ready; what a crash loses is tried once more.
type restartRetries struct {
	mu     sync.Mutex
	of     map[types.UID]restartRetry
	absent map[types.UID]absentTargets
}

// absentTargets are the restart targets that were not there while record was current. A target that
// the spec does not name any more is none of them, so that they stay as few as the spec allows.
type absentTargets struct {
	record  string
	targets []v1alpha1.RestartTarget
}

// noteAbsent notes that a target is not there while record is current. Once it is made, its pods start with that version.
func (m *restartRetries) noteAbsent(at *v1alpha1.ApplicationToken, target v1alpha1.RestartTarget, record string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.absent == nil {
		m.absent = map[types.UID]absentTargets{}
	}
	noted := absentTargets{record: record}
	if was := m.absent[at.UID]; was.record == record {
		noted.targets = slices.DeleteFunc(was.targets, func(t v1alpha1.RestartTarget) bool {
			return t == target || !slices.Contains(at.Spec.Restart, t)
		})
	}
	noted.targets = append(noted.targets, target)
	m.absent[at.UID] = noted
}

// wasAbsent reports whether a target was not there while record was current.
func (m *restartRetries) wasAbsent(at *v1alpha1.ApplicationToken, target v1alpha1.RestartTarget, record string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	noted := m.absent[at.UID]
	return noted.record == record && slices.Contains(noted.targets, target)
}

type restartRetry struct {
	generation int64
	record     string
	failures   int
	until      time.Time
}

// failed notes a failure, and returns when the restart is tried again: at the given instant, or after a delay if that is zero.
func (m *restartRetries) failed(now time.Time, at *v1alpha1.ApplicationToken, record string, again time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := restartRetry{generation: at.Generation, record: record, failures: 1, until: again}
	if was := m.of[at.UID]; was.generation == next.generation && was.record == record {
		next.failures += was.failures
	}
	if again.IsZero() {
		next.until = now.Add(retryDelay(next.failures))
	}
	if m.of == nil {
		m.of = map[types.UID]restartRetry{}
	}
	m.of[at.UID] = next
	return next.until
}

// waitsUntil reports whether a restart for the record waits, and until when.
func (m *restartRetries) waitsUntil(now time.Time, at *v1alpha1.ApplicationToken, record string) (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, known := m.of[at.UID]
	return was.until, known && was.generation == at.Generation && was.record == record && now.Before(was.until)
}

func (m *restartRetries) forget(at *v1alpha1.ApplicationToken) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.of, at.UID)
	delete(m.absent, at.UID)
}
