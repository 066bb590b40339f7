package servertest

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	auditlog "github.com/apptoken/operator/internal/audit"
)

// AuditRecorder records the lines of the audit log and of the operator's log.
type AuditRecorder struct {
	mu        sync.Mutex
	lines     []string
	schemaErr error // schema violations of the audit log
}

// newLog returns an audit log whose lines are recorded and checked against the schema.
func (a *AuditRecorder) newLog(t testing.TB, now func() time.Time) *auditlog.Log {
	t.Helper()
	t.Cleanup(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.schemaErr != nil {
			t.Error(a.schemaErr)
		}
	})
	return auditlog.New(a, now)
}

// Write implements io.Writer for one line at a time.
func (a *AuditRecorder) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.schemaErr = errors.Join(a.schemaErr, auditlog.Check(line))
	a.lines = append(a.lines, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// Events returns the lines of an event, decoded.
func (a *AuditRecorder) Events(t testing.TB, of auditlog.Event) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(a.Text()) {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err == nil && got["event"] == string(of) {
			all = append(all, got)
		}
	}
	return all
}

// Logger returns a logger whose lines are recorded.
func (a *AuditRecorder) Logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.lines = append(a.lines, prefix+args)
	}, funcr.Options{Verbosity: 10})
}

// Reset deletes the recorded lines.
func (a *AuditRecorder) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines = nil
}

// Text returns the recorded lines.
func (a *AuditRecorder) Text() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.lines, "\n")
}
