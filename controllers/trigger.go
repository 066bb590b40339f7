package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
)

// asksFor sets in d what asks for a rotation: the trigger of the spec, and the annotations by which
// the HTTP API asks.
func asksFor(at *v1alpha1.ApplicationToken, d *plan.Desired) {
	if at.Spec.Delivery == v1alpha1.DeliveryResponse {
		return
	}
	d.Trigger, d.SelfRequest = at.Spec.Rotation.Trigger, at.Annotations[v1alpha1.AnnotationRotateSelf]
	if value := at.Annotations[v1alpha1.AnnotationRotate]; value != "" {
		d.Request = digested(value)
	}
}

// Kinds of requests. No request is a retry of a request of another kind.
const (
	requestRotate = "rotate"
	requestSelf   = "self"
	requestClone  = "clone"
)

// requestID returns the ID by which the record of a version remembers the request that made it: a
// digest of the caller, the kind and the target. It holds nothing that a caller sent.
func requestID(kind string, of ...string) string {
	return digested(strings.Join(append([]string{kind}, of...), "\x00"))
}

const requestLength = 32

func digested(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:requestLength]
}
