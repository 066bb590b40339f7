package v1alpha1_test

import (
	"fmt"
)

func applicationTokenRules() table {
	return merge(
		tokenNameRules(), tokenReferenceRules(), tokenSpecRules(), tokenRotationRules(), tokenSecretRules(),
	)
}

func tokenNameRules() table {
	return table{
		"a token's name becomes a label, so it has at most 63 characters": {
			good: set("metadata.name", chars(63)), bad: set("metadata.name", chars(64)),
			at: "metadata", says: "may have at most 63 characters, since it becomes a label",
		},
	}
}

func tokenReferenceRules() table {
	const one, source = "set exactly one of clientRef, userRef and cloneFrom", "with cloneFrom, the roles, permissions and sourceRanges are those of the source; remove them"
	const ofUser = "a token of a user has what the user has; remove roles and permissions"
	client, user, clone := set("spec.clientRef.name", "acme"), set("spec.userRef.name", "alice"), set("spec.cloneFrom.name", "other")
	return merge(
		table{
			"a token with neither clientRef, userRef nor cloneFrom is refused": {bad: drop("spec.clientRef"), at: "spec", says: one},
			"a token with a clientRef and a userRef is refused":                {bad: user, at: "spec", says: one},
			"a token with a userRef alone is accepted":                         {on: "token-of-a-user"},
			"a token with a userRef need not name a client":                    {on: "token-of-a-user", good: drop("spec.userRef.client")},
			"a token with a userRef and a cloneFrom is refused":                {on: "token-of-a-user", bad: clone, at: "spec", says: one},
			"a token of a user with roles is refused":                          {on: "token-of-a-user", bad: set("spec.roles", []any{"primary"}), at: "spec", says: ofUser},
			"a token of a user with an empty list of roles is refused":         {on: "token-of-a-user", bad: set("spec.roles", []any{}), at: "spec", says: ofUser},
			"a token of a user with permissions is refused":                    {on: "token-of-a-user", bad: set("spec.permissions", []any{"search.query"}), at: "spec", says: ofUser},
			"a token of a user may have sourceRanges":                          {on: "token-of-a-user", good: set("spec.sourceRanges", []any{"10.0.0.0/8"})},
			"a token with a cloneFrom alone is accepted":                       {on: "token-cloned"},
			"a token with a cloneFrom and a clientRef is refused":              {on: "token-cloned", bad: client, at: "spec", says: one},
			"a token with a cloneFrom, a clientRef and a userRef is refused":   {on: "token-cloned", bad: combined(client, user), at: "spec", says: one},
			"a token that clones itself is refused": {
				on: "token-cloned", bad: set("spec.cloneFrom.name", "indexer-copy"),
				at: "spec.cloneFrom", says: "must not name this token; name another one of this namespace",
			},
			"a clone with roles of its own is refused":        {on: "token-cloned", bad: set("spec.roles", []any{"primary"}), at: "spec", says: source},
			"a clone with an empty list of roles is refused":  {on: "token-cloned", bad: set("spec.roles", []any{}), at: "spec", says: source},
			"a clone with permissions of its own is refused":  {on: "token-cloned", bad: set("spec.permissions", []any{"*"}), at: "spec", says: source},
			"a clone with sourceRanges of its own is refused": {on: "token-cloned", bad: set("spec.sourceRanges", []any{"::/0"}), at: "spec", says: source},
			"a clone has its own lifetime, rotation and secret": {on: "token-cloned", good: combined(
				set("spec.lifetime", "1h"), set("spec.rotation.every", "30m"), set("spec.secret.name", "other"))},
		},
		objectName("spec.clientRef.name"),
		required("spec.clientRef.name"),
		onManifest("token-of-a-user", merge(objectName("spec.userRef.name"), required("spec.userRef.name"), clientName("spec.userRef.client"))),
		onManifest("token-cloned", merge(objectName("spec.cloneFrom.name"), required("spec.cloneFrom.name"))),
	)
}

func tokenSpecRules() table {
	return merge(
		table{"a token needs a spec": {bad: drop("spec"), at: "spec", says: "Required value"}},
		list("spec.roles", 64, numbered("role-%d")),
		roleName("spec.roles[0]"),
		list("spec.permissions", 128, numbered("search.%d")),
		permission("spec.permissions[0]"),
		oneOf("spec.state", "Active", "Suspended", "Revoked"),
		positive("spec.lifetime"),
		sourceRanges("spec.sourceRanges"),
		oneOf("spec.delivery", "Secret", "Response"),
		list("spec.restart", 16, func(i int) any {
			return map[string]any{"kind": "Deployment", "name": fmt.Sprintf("indexer-%d", i)}
		}),
		oneOf("spec.restart[0].kind", "Deployment", "StatefulSet", "DaemonSet"),
		objectName("spec.restart[0].name"),
		required("spec.restart[0].kind", "spec.restart[0].name"),
	)
}

func tokenRotationRules() table {
	return merge(
		table{
			"every and schedule exclude each other": {
				bad: set("spec.rotation.schedule", "@daily"), at: "spec.rotation", says: "set every or schedule, not both",
			},
			"a timeZone without a schedule is refused": {
				bad: set("spec.rotation.timeZone", "UTC"), at: "spec.rotation.timeZone", says: "requires schedule; remove it, or set schedule",
			},
			"maxOverlap is at most every": {
				good: combined(set("spec.rotation.every", "24h"), set("spec.rotation.retire.maxOverlap", "1440m")),
				bad:  combined(set("spec.rotation.every", "24h"), set("spec.rotation.retire.maxOverlap", "24h1s")),
				at:   "spec.rotation.retire.maxOverlap", says: "must not be longer than every; shorten the overlap or lengthen the interval",
			},
			"maxOverlap beside a schedule may be of any length": {on: "token-of-a-user", good: set("spec.rotation.retire.maxOverlap", "999999h")},
			"minOverlap is at most maxOverlap": {
				good: combined(set("spec.rotation.retire.minOverlap", "60m"), set("spec.rotation.retire.maxOverlap", "1h")),
				bad:  combined(set("spec.rotation.retire.minOverlap", "61m"), set("spec.rotation.retire.maxOverlap", "1h")),
				at:   "spec.rotation.retire.minOverlap", says: "must not be longer than maxOverlap; shorten the one or lengthen the other",
			},
			"minOverlap without maxOverlap may be of any length": {good: combined(
				set("spec.rotation.retire.minOverlap", "999999h"), drop("spec.rotation.retire.maxOverlap"))},
			"a rotation by trigger alone is accepted": {good: set("spec.rotation", map[string]any{"trigger": "1"})},
			"a trigger is a string": {
				bad: set("spec.rotation.trigger", int64(1)), at: "spec.rotation.trigger", says: "must be of type string",
			},
		},
		withBase(drop("spec.rotation.retire"), positive("spec.rotation.every")),
		withBase(drop("spec.rotation.every", "spec.rotation.retire.minOverlap"), positive("spec.rotation.retire.maxOverlap")),
		withBase(drop("spec.rotation.retire.maxOverlap"), duration("spec.rotation.retire.minOverlap")),
		duration("spec.rotation.retire.quietPeriod"),
		oneOf("spec.rotation.retire.when", "Unused", "AfterOverlap"),
		maxLength("spec.rotation.trigger", 253),
		accepts("spec.rotation.trigger", "", "2026-03-01", "PLAT-4711: leaked\nin a log", "🔑"),
		onManifest("token-of-a-user", merge(
			maxLength("spec.rotation.schedule", 128),
			accepts("spec.rotation.schedule", "*/5 0-3,22 * JAN MON-FRI", "@hourly", "@daily", "@weekly", "@monthly", "@yearly"),
			rejects("spec.rotation.schedule", "should be at least 1 chars long", ""),
			maxLength("spec.rotation.timeZone", 64),
			accepts("spec.rotation.timeZone", "UTC", "Etc/GMT+1", "America/Argentina/Buenos_Aires", "America/Port-au-Prince"),
			rejects("spec.rotation.timeZone", "should match '^[A-Za-z]", "", "/etc/passwd", "../../etc/passwd", "Europe/../Zurich", "Europe/", "+01:00", "a/b/c/d", "Europe/Zurich\n"),
		)),
	)
}

func tokenSecretRules() table {
	const dataKey = "each key must be one that a Secret can have: at most 253 letters, digits, -, _ and ."
	keys := func(n int) map[string]any {
		m := map[string]any{}
		for i := range n {
			m[fmt.Sprintf("key-%d", i)] = "x"
		}
		return m
	}
	// keyed returns the table of the keys that a map may have, and of those that it may not have.
	keyed := func(at, says string, good, bad []string) table {
		t := table{fmt.Sprintf("%s has at most 32 entries", at): {
			good: set(at, keys(32)), bad: set(at, keys(33)), at: at, says: "must have at most 32 items",
		}}
		for _, k := range good {
			t[fmt.Sprintf("%s may have the key %q", at, k)] = rule{good: set(at, map[string]any{k: "x"})}
		}
		for _, k := range bad {
			t[fmt.Sprintf("%s may not have the key %q", at, k)] = rule{bad: set(at, map[string]any{k: "x"}), at: at, says: says}
		}
		return t
	}
	prefixed := "example.com/" + chars(63)
	qualified := []string{"", "a b", "/a", "a/", "a/b/c", "-a", "EXAMPLE.com/a", "a:b", chars(64), prefixed + "a", chars(254) + "/a", chars(10_000)}
	return merge(
		objectName("spec.secret.name"),
		keyed("spec.secret.data", dataKey,
			[]string{"token", "TOKEN", ".netrc", "a..b", "a_b-c.9", chars(253)},
			[]string{"", ".", "..", "..data", "a/b", "../../etc/passwd", "a b", "a\n", "ключ", chars(254), chars(10_000)}),
		table{"data with no key at all is refused": {
			good: drop("spec.secret.data"), bad: set("spec.secret.data", map[string]any{}),
			at: "spec.secret.data", says: "should have at least 1 properties",
		}},
		maxLength("spec.secret.data.token", 4096),
		keyed("spec.secret.labels", "each key must be one that a label can have, such as team or example.com/team",
			[]string{"team", "Team_1.x", prefixed}, qualified),
		maxLength("spec.secret.labels.team", 63),
		accepts("spec.secret.labels.team", "", "search", "A.b_c-9"),
		table{
			"a label's value may not be a sentence":          {bad: set("spec.secret.labels.team", "the search team"), at: "spec.secret.labels[team]", says: "must be the value of a label: letters, digits, -, _ and ., with a letter or digit at both ends"},
			"a label's value may not end with a dash":        {bad: set("spec.secret.labels.team", "search-"), at: "spec.secret.labels[team]", says: "must be the value of a label"},
			"a label's value may not be a number":            {bad: set("spec.secret.labels.team", int64(1)), at: "spec.secret.labels.team", says: "must be of type string"},
			"an annotation's value may hold any text at all": {good: set("spec.secret.annotations.team", "line\nline \U0001F511")},
		},
		keyed("spec.secret.annotations", "each key must be one that an annotation can have, such as team or example.com/team",
			[]string{"team", "Team_1.x", prefixed}, qualified),
		maxLength("spec.secret.annotations.owner", 4096),
	)
}

// applicationTokenChanges are the rules about transitions of a token.
func applicationTokenChanges() changes {
	const stays = "a revoked token stays revoked; delete it and declare a new one"
	revoked := set("spec.state", "Revoked")
	return changes{
		"an active token can be suspended":                      {to: set("spec.state", "Suspended")},
		"a suspended token can be activated":                    {from: set("spec.state", "Suspended"), to: set("spec.state", "Active")},
		"an active token can be revoked":                        {to: revoked},
		"a suspended token can be revoked":                      {from: set("spec.state", "Suspended"), to: revoked},
		"a revoked token is not activated":                      {from: revoked, to: set("spec.state", "Active"), at: "spec.state", says: stays},
		"a revoked token is not suspended":                      {from: revoked, to: set("spec.state", "Suspended"), at: "spec.state", says: stays},
		"a revoked token is not activated by leaving state out": {from: revoked, to: drop("spec.state"), at: "spec.state", says: stays},
		"a revoked token can be changed where it stays revoked": {from: revoked, to: set("spec.roles", []any{"developer"})},
		"a revoked token can be labelled":                       {from: revoked, to: set("metadata.labels.team", "search")},
		"a token can get another client":                        {to: set("spec.clientRef.name", "other")},
		"a token does not become a clone of itself": {
			to: combined(drop("spec.clientRef", "spec.roles", "spec.permissions", "spec.sourceRanges"), set("spec.cloneFrom.name", "indexer")),
			at: "spec.cloneFrom", says: "must not name this token",
		},
	}
}
