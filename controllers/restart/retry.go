package restart

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/result"
)

// retries remembers which restarts failed and when each is retried. A new version or a
// changed spec is tried at once. The zero value is empty and ready. After a crash, each restart is
// tried once more.
type retries struct {
	mu      sync.Mutex
	byToken map[types.UID]retry
	absent  map[types.UID]absentTargets
}

type retry struct {
	generation int64
	record     string
	failures   int
	until      time.Time
}

// absentTargets holds the restart targets that were missing while record was current. A target that
// the spec no longer names is removed, so that there are at most as many as the spec allows.
type absentTargets struct {
	record  string
	targets []v1alpha1.RestartTarget
}

// noteAbsent records that a target is missing while record is current. Once the target is created,
// its pods start with that version.
func (m *retries) noteAbsent(at *v1alpha1.ApplicationToken, target v1alpha1.RestartTarget, record string) {
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

// wasAbsent reports whether a target was missing while record was current.
func (m *retries) wasAbsent(at *v1alpha1.ApplicationToken, target v1alpha1.RestartTarget, record string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	noted := m.absent[at.UID]
	return noted.record == record && slices.Contains(noted.targets, target)
}

// recordFailure records a failure and returns the time of the next attempt: again, or the end of a
// delay if again is zero.
func (m *retries) recordFailure(now time.Time, at *v1alpha1.ApplicationToken, record string, again time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := retry{generation: at.Generation, record: record, failures: 1, until: again}
	if was := m.byToken[at.UID]; was.generation == next.generation && was.record == record {
		next.failures += was.failures
	}
	if again.IsZero() {
		next.until = now.Add(result.RetryDelay(next.failures))
	}
	if m.byToken == nil {
		m.byToken = map[types.UID]retry{}
	}
	m.byToken[at.UID] = next
	return next.until
}

// waitsUntil reports whether a restart for the record has to wait, and until when.
func (m *retries) waitsUntil(now time.Time, at *v1alpha1.ApplicationToken, record string) (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, known := m.byToken[at.UID]
	return was.until, known && was.generation == at.Generation && was.record == record && now.Before(was.until)
}

func (m *retries) forget(at *v1alpha1.ApplicationToken) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byToken, at.UID)
	delete(m.absent, at.UID)
}
