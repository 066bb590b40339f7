package tokenspec

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// setRotationRequests sets in d what asks for a rotation: the trigger of the spec, and the
// annotations by which the HTTP API asks.
func setRotationRequests(at *v1alpha1.ApplicationToken, d *plan.Desired) {
	if at.Spec.Delivery == v1alpha1.DeliveryResponse {
		return
	}
	d.Trigger, d.SelfRequest = at.Spec.Rotation.Trigger, at.Annotations[v1alpha1.AnnotationRotateSelf]
	if value := at.Annotations[v1alpha1.AnnotationRotate]; value != "" {
		d.Request = ShortDigest(value)
	}
}

// Kinds of requests. No request is a retry of a request of another kind.
const (
	RequestRotate = "rotate"
	RequestSelf   = "self"
	RequestClone  = "clone"
)

// RequestID returns the ID by which the record of a version remembers the request that made it: a
// digest of the caller, the kind and the target. It holds nothing that a caller sent.
func RequestID(kind string, of ...string) string {
	return ShortDigest(strings.Join(append([]string{kind}, of...), "\x00"))
}

const requestIDLength = 32

// ShortDigest returns the first half of the SHA-256 of a text, in hexadecimal.
func ShortDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:requestIDLength]
}
