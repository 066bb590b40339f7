// Package audit writes the audit log: one JSON object a line, whose keys and events never change
// their meaning.
//
// It defines the events and the keys that each may have. It also rate-limits the events that
// callers can cause: a suppressed line is counted, and a summary reports the count. It knows
// nothing of credentials, requests or Kubernetes. No value of a line may be taken from what a
// caller presented.
package audit
