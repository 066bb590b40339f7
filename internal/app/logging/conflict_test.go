package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/apptoken/operator/internal/app/logging"
	"github.com/apptoken/operator/internal/record"
)

func TestLog_ExpectedConflictsAreDebugLines(t *testing.T) {
	conflict := apierrors.NewConflict(corev1.Resource("secrets"), "indexer", errors.New("the object has been modified"))
	broken := errors.New("broken")
	failed := func(err error) func(logr.Logger) {
		return func(log logr.Logger) { log.WithValues("namespace", "shop").Error(err, "Reconciler error") }
	}
	for name, c := range map[string]struct {
		log      func(logr.Logger)
		expected bool
	}{
		"a conflict":                      {failed(conflict), true},
		"a conflict of a status":          {failed(fmt.Errorf("write the status: %w", conflict)), true},
		"a stale record":                  {failed(fmt.Errorf("change at-1: %w", record.ErrStale)), true},
		"two conflicts":                   {failed(errors.Join(fmt.Errorf("change at-1: %w", record.ErrStale), conflict)), true},
		"another error":                   {failed(broken), false},
		"another error beside a conflict": {failed(errors.Join(conflict, broken)), false},
		"another error, wrapped with one": {failed(fmt.Errorf("rotate: %w and %w", broken, conflict)), false},
		"no error":                        {func(log logr.Logger) { log.Error(nil, "Reconciler error") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, level := range []string{"error", "info", "debug"} {
				var out bytes.Buffer
				c.log(logging.New(level, &out))
				if c.expected && level != "debug" {
					if out.Len() > 0 {
						t.Errorf("at level %s: %s", level, out.String())
					}
					continue
				}
				var line struct{ Level, Stacktrace string }
				if err := json.Unmarshal(out.Bytes(), &line); err != nil {
					t.Fatalf("at level %s: %v: %q", level, err, out.String())
				}
				if c.expected != (line.Level == "debug") || c.expected != (line.Stacktrace == "") {
					t.Errorf("at level %s: %s", level, out.String())
				}
			}
		})
	}
}
