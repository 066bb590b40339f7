package v1alpha1_test

import (
	"fmt"
)

func tokenRecordRules() table {
	const named = "the name must be at- and the first 32 hex digits of spec.digest"
	return merge(
		table{
			"a record needs a spec":                                   {bad: drop("spec"), at: "spec", says: "Required value"},
			"a record with the name of another credential is refused": {bad: set("metadata.name", "at-1123456789abcdef0123456789abcdef"), at: "metadata", says: named},
			"a record with a name of its own is refused":              {bad: set("metadata.name", "mine"), at: "metadata", says: named},
			"a record with a whole digest in its name is refused": {
				bad: set("metadata.name", "at-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"), at: "metadata", says: named,
			},
			"a record of a user's token has an owner in no namespace": {good: combined(set("spec.owner.kind", "User"), drop("spec.owner.namespace"))},
		},
		required("spec.kind", "spec.digest", "spec.owner", "spec.owner.kind", "spec.owner.name", "spec.owner.uid", "spec.issuedAt", "spec.refresh.digest", "spec.refresh.family"),
		oneOf("spec.kind", "Application", "Login", "Session", "Open", "Access"),
		digest("spec.digest"),
		maxLength("spec.hint", 8),
		accepts("spec.hint", "…x7Qd", "…🔑🔑🔑🔑🔑🔑🔑"),
		digest("spec.refresh.digest"),
		digest("spec.refresh.family"),
		digest("spec.refresh.previousDigest"),
		instant("spec.refresh.previousUntil"),
		list("spec.refresh.recent", 8, func(i int) any {
			return map[string]any{"digest": fmt.Sprintf("%064x", i), "until": "2026-03-01T12:00:00Z"}
		}),
		required("spec.refresh.recent[0].digest", "spec.refresh.recent[0].until"),
		digest("spec.refresh.recent[0].digest"),
		instant("spec.refresh.recent[0].until"),
		instant("spec.refresh.expiresAt"),
		list("spec.refresh.permissions", 128, numbered("search.%d")),
		permission("spec.refresh.permissions[0]"),
		oneOf("spec.refresh.scope", "User"),
		digest("spec.parent"),
		oneOf("spec.owner.kind", "ApplicationToken", "User", "TokenRecord"),
		maxLength("spec.owner.namespace", 63),
		maxLength("spec.owner.name", 253),
		maxLength("spec.owner.uid", 64),
		maxLength("spec.client", 63),
		maxLength("spec.user", 253),
		maxLength("spec.userUID", 64),
		oneOf("spec.state", "Active", "Suspended"),
		list("spec.roles", 64, numbered("role-%d")),
		roleName("spec.roles[0]"),
		list("spec.permissions", 128, numbered("search.%d")),
		permission("spec.permissions[0]"),
		sourceRanges("spec.sourceRanges"),
		instant("spec.issuedAt"),
		instant("spec.expiresAt"),
		digest("spec.session"),
		positive("spec.idleTimeout"),
		accepts("spec.version", int64(1), int64(1<<62)),
		rejects("spec.version", "greater than or equal to 1", int64(0), int64(-1)),
		maxLength("spec.trigger", 253),
		maxLength("spec.request", 64),
		instant("spec.authorizedAt"),
		instant("spec.authenticatedAt"),
		instant("spec.sessionEndsAt"),
		maxLength("spec.predecessor", 35),
		instant("spec.supersededAt"),
		maxLength("spec.credential", 64),
	)
}

// tokenRecordChanges are the rules about transitions of a record.
func tokenRecordChanges() changes {
	return changes{
		"a record's digest never changes, not even where its name says nothing of it": {
			to: set("spec.digest", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdee"),
			at: "spec.digest", says: "must not change, since it identifies the credential",
		},
		"a record's digest never goes":              {to: drop("spec.digest"), at: "spec.digest", says: "Required value"},
		"a record can be superseded and end sooner": {to: combined(set("spec.supersededAt", "2026-03-01T12:10:00Z"), set("spec.expiresAt", "2026-03-01T12:20:00Z"))},
		"a record's refresh token can be replaced":  {to: set("spec.refresh.digest", "5123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")},
		"a record can be suspended":                 {to: set("spec.state", "Suspended")},
		"a record's grants can change":              {to: combined(set("spec.roles", []any{}), drop("spec.permissions", "spec.sourceRanges"))},
	}
}
