package applicationtoken

import (
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/result"
	"github.com/apptoken/operator/internal/apierr"
)

// writeBackoff remembers for which tokens the API server rejects the Secret. Each attempt writes a
// record and deletes it, and both enqueue the token. Without this memory the operator would try
// again at once, forever. The zero value is empty and ready.
type writeBackoff struct {
	mu      sync.Mutex
	byToken map[types.UID]rejectedWrite
}

type rejectedWrite struct {
	generation int64
	secret     string // its resource version: a Secret that was changed or deleted is tried at once
	failures   int    // attempts in a row that were rejected
	until      time.Time
	why        *apierr.Refuse
}

// recordRejection records that the API server rejected the Secret of at. The message of an
// admission webhook could quote the Secret, so it is discarded.
func (m *writeBackoff) recordRejection(now time.Time, at *v1alpha1.ApplicationToken, secret *corev1.Secret, err error) *apierr.Refuse {
	return m.recordFailure(now, at, secret, fmt.Sprintf("The API server rejects Secret %s (%s): look for a quota, an admission policy, or immutable: true on it",
		secret.Name, apierrors.ReasonForError(err)))
}

// recordMutation records that the stored Secret of at differs from what the operator wrote.
func (m *writeBackoff) recordMutation(now time.Time, at *v1alpha1.ApplicationToken, secret *corev1.Secret) *apierr.Refuse {
	return m.recordFailure(now, at, secret, fmt.Sprintf("Secret %s is not as the operator writes it: an admission webhook changes it; exempt Secrets with the label %s from it",
		secret.Name, v1alpha1.LabelManaged))
}

// recordFailure records that a write of the Secret of at had no effect.
func (m *writeBackoff) recordFailure(now time.Time, at *v1alpha1.ApplicationToken, secret *corev1.Secret, message string) *apierr.Refuse {
	m.mu.Lock()
	defer m.mu.Unlock()
	failures := 1
	if was := m.byToken[at.UID]; was.generation == at.Generation && was.secret == secret.ResourceVersion {
		failures += was.failures
	}
	why := &apierr.Refuse{
		Reason: v1alpha1.ReasonSecretRefused, Again: result.RetryDelay(failures), Message: message,
	}
	if m.byToken == nil {
		m.byToken = map[types.UID]rejectedWrite{}
	}
	m.byToken[at.UID] = rejectedWrite{at.Generation, secret.ResourceVersion, failures, now.Add(why.Again), why}
	return why
}

// pendingRefusal returns the refusal that an attempt would repeat, or nil if an attempt is due.
func (m *writeBackoff) pendingRefusal(now time.Time, at *v1alpha1.ApplicationToken, secret *corev1.Secret) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, known := m.byToken[at.UID]
	if !known {
		return nil
	}
	if was.generation == at.Generation && was.secret == secret.ResourceVersion && now.Before(was.until) {
		again := *was.why
		again.Again = was.until.Sub(now)
		return &again
	}
	return nil
}

// forget removes a token that is being deleted.
func (m *writeBackoff) forget(at *v1alpha1.ApplicationToken) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byToken, at.UID)
}
