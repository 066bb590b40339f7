package restart

import (
	"fmt"
	"testing"

	"github.com/apptoken/operator/api/v1alpha1"
)

// A tenant that keeps editing spec.restart does not fill the memory.
func TestRetries_RememberMissingTargetsOfSpecAlone(t *testing.T) {
	var m retries
	at := &v1alpha1.ApplicationToken{}
	first := v1alpha1.RestartTarget{Kind: v1alpha1.RestartStatefulSet, Name: "missing"}
	for i := range 4 {
		edited := v1alpha1.RestartTarget{Kind: v1alpha1.RestartDeployment, Name: v1alpha1.ObjectName(fmt.Sprint("missing-", i))}
		at.Spec.Restart = []v1alpha1.RestartTarget{first, edited}
		for _, target := range at.Spec.Restart {
			m.noteAbsent(at, target, "record")
		}
	}
	if n := len(m.absent[at.UID].targets); n != 2 {
		t.Errorf("of two missing targets, %d are remembered", n)
	}
}
