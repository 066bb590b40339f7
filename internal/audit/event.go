package audit

import (
	"slices"
)

// Event is the name of an event. Names are stable: alerts depend on them.
type Event string

// Events.
const (
	// CredentialRefused is a credential that was not accepted, or that does not hold what was
	// required.
	CredentialRefused Event = "credential.refused"
	// CredentialRevokedUse is the use of a credential whose record was deleted before it expired.
	CredentialRevokedUse Event = "credential.revoked_use"
	// LoginSucceeded is a login that was opened.
	LoginSucceeded Event = "login.succeeded"
	// LoginChecked is a correct password in a request that opens no login.
	LoginChecked Event = "login.checked"
	// LoginFailed is a login that was not opened.
	LoginFailed Event = "login.failed"
	// LoginRefreshed is a login that was exchanged for a new one by its refresh token.
	LoginRefreshed Event = "login.refreshed"
	// LoginRefreshFailed is a refresh token that was not accepted.
	LoginRefreshFailed Event = "login.refresh_failed"
	// LoginReplayed is a refresh token that was used before. Its session has ended.
	LoginReplayed Event = "login.replayed"
	// LoginMasqueraded is a login that was exchanged for one at another account of the same user.
	LoginMasqueraded Event = "login.masqueraded"
	// LoginEnded is a login that was ended by its holder or by another caller.
	LoginEnded Event = "login.ended"
	// TokenCreated is a token that was created over HTTP.
	TokenCreated Event = "token.created"
	// TokenCloned is a token that was created over HTTP with the grants of another.
	TokenCloned Event = "token.cloned"
	// TokenRotated is a token that was replaced by a successor over HTTP.
	TokenRotated Event = "token.rotated"
	// TokenSelfRotated is a token that its holder replaced by a successor.
	TokenSelfRotated Event = "token.self_rotated"
	// TokenSelfRotationRefused is a rotation by a holder that was refused.
	TokenSelfRotationRefused Event = "token.self_rotation_refused"
	// TokenChanged is a token whose grants, source ranges or state were changed over HTTP.
	TokenChanged Event = "token.changed"
	// TokenRevoked is a credential that was revoked over HTTP.
	TokenRevoked Event = "token.revoked"
	// TokenRevocationFailed is a revocation that the API server did not accept. The credential is
	// still valid.
	TokenRevocationFailed Event = "token.revocation_failed"
	// OriginRefused is a request that a browser sent for a page of another origin, which the
	// administrator does not allow.
	OriginRefused Event = "origin.refused"
	// EndpointMisconfigured is a request of a gateway with an unknown requirement. It was refused.
	EndpointMisconfigured Event = "endpoint.misconfigured"
	// Suppressed is a summary of the lines that were suppressed since the last summary.
	Suppressed Event = "audit.suppressed"
)

// commonKeys are the keys of every line.
var commonKeys = []string{"time", "logger", "event"}

// schema lists the keys of each event beside the common keys. A key without a value is omitted.
var schema = map[Event][]string{
	CredentialRefused:        {"endpoint", "verdict", "source", "peer", "sourceUnknown", "token", "kind", "subject", "client", "user", "count"},
	CredentialRevokedUse:     {"endpoint", "verdict", "source", "peer", "sourceUnknown", "token", "kind", "subject", "client", "user", "count"},
	LoginSucceeded:           {"protocol", "source", "peer", "sourceUnknown", "token", "kind", "client", "user"},
	LoginChecked:             {"protocol", "source", "peer", "sourceUnknown", "client", "user", "count"},
	LoginFailed:              {"protocol", "verdict", "reason", "source", "peer", "sourceUnknown", "user", "retryAfter", "count"},
	LoginRefreshed:           {"protocol", "source", "peer", "sourceUnknown", "token", "predecessor", "kind", "client", "user"},
	LoginRefreshFailed:       {"protocol", "verdict", "source", "peer", "sourceUnknown", "token", "client", "user", "retryAfter", "count"},
	LoginReplayed:            {"source", "token", "client", "user"},
	LoginMasqueraded:         {"protocol", "source", "peer", "sourceUnknown", "token", "predecessor", "kind", "client", "from", "user"},
	LoginEnded:               {"protocol", "source", "peer", "sourceUnknown", "token", "kind", "client", "user", "by"},
	TokenCreated:             {"source", "peer", "sourceUnknown", "token", "object", "client", "user", "by"},
	TokenCloned:              {"source", "peer", "sourceUnknown", "token", "object", "client", "user", "by"},
	TokenRotated:             {"source", "peer", "sourceUnknown", "token", "object", "client", "user", "by"},
	TokenSelfRotated:         {"source", "peer", "sourceUnknown", "token", "object", "client", "user", "by"},
	TokenSelfRotationRefused: {"verdict", "reason", "source", "peer", "sourceUnknown", "token", "object", "client", "user", "count"},
	TokenChanged:             {"source", "peer", "sourceUnknown", "token", "object", "client", "user", "by"},
	TokenRevoked:             {"source", "peer", "sourceUnknown", "token", "kind", "object", "subject", "client", "user", "by"},
	TokenRevocationFailed:    {"source", "peer", "sourceUnknown", "token", "kind", "by", "count"},
	OriginRefused:            {"protocol", "verdict", "source", "peer", "sourceUnknown", "count"},
	EndpointMisconfigured:    {"endpoint", "reason", "source", "peer", "sourceUnknown", "count"},
	Suppressed:               {"of", "endpoint", "verdict", "count"},
}

// Events returns every event, sorted.
func Events() []Event {
	all := make([]Event, 0, len(schema))
	for e := range schema {
		all = append(all, e)
	}
	slices.Sort(all)
	return all
}

// Keys returns the keys that a line of an event may have, the common keys first.
func Keys(e Event) []string { return append(slices.Clone(commonKeys), schema[e]...) }
