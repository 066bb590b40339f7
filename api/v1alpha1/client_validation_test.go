package v1alpha1_test

import (
	"fmt"
)

func clientRules() table {
	const one = "set exactly one of names and selector"
	grants := func(n int) []any {
		all := make([]any, n)
		for i := range all {
			all[i] = map[string]any{"namespaces": map[string]any{"names": []any{"shop"}}, "roles": []any{"primary"}}
		}
		return all
	}
	return merge(
		table{
			"a client's name becomes a label, so it has at most 63 characters": {
				good: set("metadata.name", chars(63)), bad: set("metadata.name", chars(64)),
				at: "metadata", says: "may have at most 63 characters, since it becomes part of group names and labels",
			},
			"a client without a spec grants nothing, and is accepted": {good: drop("spec")},
			"there are at most 64 grants": {
				good: set("spec.grants", grants(64)), bad: set("spec.grants", grants(65)),
				at: "spec.grants", says: "must have at most 64 items",
			},
			"a grant names its namespaces or selects them, not both": {
				bad: set("spec.grants[0].namespaces.selector", map[string]any{}), at: "spec.grants[0].namespaces", says: one,
			},
			"a grant without names and selector is refused, since it could mean all or none": {
				bad: set("spec.grants[0].namespaces", map[string]any{}), at: "spec.grants[0].namespaces", says: one,
			},
			"a grant with an empty selector holds for every namespace": {good: set("spec.grants[0].namespaces", map[string]any{"selector": map[string]any{}})},
			"a grant of no role is refused": {
				bad: set("spec.grants[0].roles", []any{}), at: "spec.grants[0].roles", says: "should have at least 1 items",
			},
		},
		maxLength("spec.displayName", 128),
		accepts("spec.displayName", "", "Àcme & Söhne 🔍"),
		between("spec.accountID", 1, 9007199254740991),
		oneOf("spec.state", "Active", "Suspended"),
		list("spec.roles", 64, func(i int) any { return map[string]any{"name": fmt.Sprintf("role-%d", i)} }),
		roleName("spec.roles[0].name"),
		required("spec.roles[0].name"),
		list("spec.roles[0].permissions", 128, numbered("search.%d")),
		permission("spec.roles[0].permissions[0]"),
		required("spec.grants[0].namespaces", "spec.grants[0].roles"),
		list("spec.grants[0].namespaces.names", 256, numbered("shop-%d")),
		namespaceName("spec.grants[0].namespaces.names[0]", "must be the name of a namespace; for all namespaces, remove names and set an empty selector"),
		list("spec.grants[0].roles", 64, numbered("role-%d")),
		roleName("spec.grants[0].roles[0]"),
		between("spec.grants[0].maxCount", 0, 1_000_000),
		positive("spec.tokens.maxLifetime"),
		oneOf("spec.tokens.nonExpiring", "Allow", "WithRotation", "Forbid"),
		between("spec.tokens.maxCount", 0, 1_000_000),
		between("spec.tokens.maxCountPerUser", 0, 1_000_000),
		positive("spec.tokens.minRotationInterval"),
		oneOf("spec.tokens.selfRotation", "Allow", "Forbid"),
		list("spec.tokens.allowedSecretMetadata", 32, numbered("example.com/key-%d")),
		maxLength("spec.tokens.allowedSecretMetadata[0]", 317),
		rejects("spec.tokens.allowedSecretMetadata[0]", "should be at least 1 chars long", ""),
		sourceRanges("spec.tokens.sourceRanges"),
		positive("spec.logins.lifetime"),
		positive("spec.logins.rememberMeLifetime"),
		positive("spec.logins.refreshLifetime"),
		positive("spec.logins.idleTimeout"),
		between("spec.logins.maxSessionsPerUser", 1, 1000),
		between("spec.logins.maxSessionTokensPerUser", 1, 10_000),
		between("spec.logins.maxOpenTokensPerUser", 1, 1000),
		oneOf("spec.logins.openTokens", "Allow", "Expiring", "Forbid"),
		positive("spec.logins.maxOpenLifetime"),
		positive("spec.logins.maxSessionLifetime"),
		oneOf("spec.logins.basic", "Allow", "Forbid"),
	)
}

func clientChanges() changes {
	return changes{
		"a client can be suspended":              {to: set("spec.state", "Suspended")},
		"a suspended client can be active again": {from: set("spec.state", "Suspended"), to: set("spec.state", "Active")},
		"a client can lose its spec":             {to: drop("spec")},
	}
}
