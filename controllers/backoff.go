package controllers

import (
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
	mu sync.Mutex
	of map[types.UID]restartRetry
}

type restartRetry struct {
	generation int64
	record     string
	failures   int
	until      time.Time
}

func (m *restartRetries) failed(now time.Time, at *v1alpha1.ApplicationToken, record string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := restartRetry{generation: at.Generation, record: record, failures: 1}
	if was := m.of[at.UID]; was.generation == next.generation && was.record == record {
		next.failures += was.failures
	}
	next.until = now.Add(retryDelay(next.failures))
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
}
