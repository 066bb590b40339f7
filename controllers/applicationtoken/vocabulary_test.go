package applicationtoken_test

import (
	"testing"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// Conditions have the reasons of the planner, which does not import the API.
func TestVocabulary_ConditionsHaveTheReasonsOfThePlanner(t *testing.T) {
	for reason, why := range map[string]plan.Why{
		v1alpha1.ReasonUsedRecently:      plan.UsedRecently,
		v1alpha1.ReasonSuccessorUnused:   plan.SuccessorUnused,
		v1alpha1.ReasonMinOverlap:        plan.MinOverlap,
		v1alpha1.ReasonPredecessorsKept:  plan.PredecessorsKept,
		v1alpha1.ReasonRolloutIncomplete: plan.RolloutIncomplete,
	} {
		if reason != string(why) {
			t.Errorf("the API calls it %s, and the planner %s", reason, why)
		}
	}
}
