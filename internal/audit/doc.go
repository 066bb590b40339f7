// Package audit writes the audit log: one JSON object a line, whose keys and events never change their meaning.
//
// It defines the events and the keys that each may have, and which lines are left out when callers bring about too many:
// a line that is left out is counted, and a summary tells the count. It knows nothing of credentials, requests or
// Kubernetes, and no value of a line may be taken from what a caller presented.
package audit
