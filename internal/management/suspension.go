package management

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// fieldOwner is the field manager of the management API's writes to ApplicationTokens. No other
// writer has this name.
const fieldOwner = client.FieldOwner(v1alpha1.FieldManagerManagement)

// errSuspendedInKubernetes reports that a writer in Kubernetes set the state of a token to
// Suspended.
var errSuspendedInKubernetes error = &Denied{
	Field: "state", Message: "was set to Suspended in Kubernetes, and can be set to Active only there: kubectl patch applicationtoken --type merge -p '{\"spec\":{\"state\":\"Active\"}}'",
}

// isSuspendedByAPI reports whether the management API, and no other writer, set the present state
// of a token. The API server records in metadata.managedFields which manager set each field, in the
// write that sets it. So the result cannot outlive the state that it is about, as an annotation
// could. Without such a record, the state counts as set by another writer.
func isSuspendedByAPI(at *v1alpha1.ApplicationToken) bool {
	owned := false
	for i := range at.ManagedFields {
		m := &at.ManagedFields[i]
		if !coversState(m) {
			continue
		}
		if m.Manager != string(fieldOwner) || m.Operation != metav1.ManagedFieldsOperationUpdate {
			return false
		}
		owned = true
	}
	return owned
}

// coversState reports whether an entry of the managed fields covers spec.state. An entry that
// cannot be parsed covers everything.
func coversState(m *metav1.ManagedFieldsEntry) bool {
	if m.FieldsV1 == nil {
		return false
	}
	var fields struct {
		Spec *map[string]json.RawMessage `json:"f:spec"`
	}
	if err := json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields); err != nil {
		return true
	}
	if fields.Spec == nil {
		return false
	}
	_, state := (*fields.Spec)["f:state"]
	return state || len(*fields.Spec) == 0 // without members, it is the spec as a whole
}
