package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/apptoken/operator/api/v1alpha1"
)

// A record keeps what asked for its version: rotation.trigger, and where the annotation apptoken.dev/rotate was there too,
// a digest of that behind requestMark. Only where both have no room in it, a digest takes the place of the trigger.
const (
	requestMark   = "\napptoken.dev/rotate:"
	requestLength = 32
	longestNoted  = 253 // what a record has room for
)

// asksFor is what asks for a rotation now: the trigger of the spec, and a digest of the annotation; empty if there is none.
func asksFor(at *v1alpha1.ApplicationToken) (trigger, request string) {
	if at.Spec.Delivery == v1alpha1.DeliveryResponse {
		return "", ""
	}
	if value := at.Annotations[v1alpha1.AnnotationRotate]; value != "" {
		request = digested(value)
	}
	return at.Spec.Rotation.Trigger, request
}

// noted is how a record keeps what asked for its version.
func noted(trigger, request string) string {
	if request == "" {
		return trigger
	}
	return shortened(trigger) + requestMark + request
}

// askedFor reads what noted wrote, in the words in which the token asks now.
func askedFor(at *v1alpha1.ApplicationToken, note string) (trigger, request string) {
	if at.Spec.Delivery == v1alpha1.DeliveryResponse {
		return "", ""
	}
	mark := strings.LastIndex(note, requestMark)
	if mark < 0 || len(note)-mark != len(requestMark)+requestLength {
		return note, ""
	}
	trigger, request = note[:mark], note[mark+len(requestMark):]
	if now := at.Spec.Rotation.Trigger; shortened(now) == trigger {
		trigger = now
	}
	return trigger, request
}

func shortened(trigger string) string {
	if utf8.RuneCountInString(trigger)+len(requestMark)+requestLength <= longestNoted {
		return trigger
	}
	return "sha256:" + digested(trigger)
}

func digested(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:requestLength]
}
