package v1alpha1_test

import (
	"fmt"
)

func userRules() table {
	return merge(
		table{
			"a user's name becomes part of others, so it has at most 63 characters": {
				good: set("metadata.name", chars(63)), bad: set("metadata.name", chars(64)),
				at: "metadata", says: "may have at most 63 characters, since it becomes part of the names by which clusters know it",
			},
			"a user without a spec can log in nowhere, and is accepted": {good: drop("spec")},
			"a user without a password cannot log in, and is accepted":  {good: drop("spec.passwordSecretRef")},
		},
		usernameRules(),
		oneOf("spec.state", "Active", "Suspended"),
		required("spec.passwordSecretRef.name"),
		objectName("spec.passwordSecretRef.name"),
		userAccountRules(),
		list("spec.namespaces.names", 256, numbered("shop-%d")),
		namespaceName("spec.namespaces.names[0]", "must be the name of a namespace; patterns are not supported, list each"),
		between("spec.logins.maxSessions", 1, 1000),
		between("spec.logins.maxSessionTokens", 1, 10_000),
		between("spec.logins.maxOpenTokens", 1, 1000),
	)
}

func usernameRules() table {
	const at = "spec.username"
	return merge(
		table{"a username that is left out is the user's name": {good: drop(at)}},
		maxLength(at, 254),
		accepts(at, "a", "7", "alice@example.com", "Alice.O'Neil+test@example.com", "Ünïcode Name", "山田 太郎", "ACME\\alice", "a  b", "🔑", "../etc", "a;b,c=d\"e"),
		rejects(at, "should be at least 1 chars long", ""),
		rejects(at, "must not contain a colon, which ends the name in HTTP's basic authentication", ":", "alice:secret", "alice:", ":alice"),
		rejects(at, "must not contain line breaks, control characters or invisible characters",
			"a\nb", "a\r\nX-Injected\u00a0b", "a\tb", "a\x00b", "a\x1b[31mb", "a\x7fb", "a\u0085b", "a\u2028b", "a\u2029b", "a\u200bb", "a\u202eb", "a\u00adb", "\ufeffa"),
		rejects(at, "must not begin or end with a space", " ", " a", "a ", "\ta", "a\n", "\u00a0a", "a\u3000"),
		rejects(at, "must be of type string", int64(1001), true),
	)
}

func userAccountRules() table {
	return merge(
		table{
			"a user without accounts can log in nowhere, and is accepted": {good: set("spec.accounts", []any{})},
			"one account at most is the default": {
				good: set("spec.accounts[1].default", false), bad: set("spec.accounts[1].default", true),
				at: "spec.accounts", says: "must not have more than one default; keep default: true on one account",
			},
			"no account need be the default":        {good: drop("spec.accounts[0].default")},
			"any account may be the default":        {good: combined(drop("spec.accounts[0].default"), set("spec.accounts[1].default", true))},
			"an account without roles is accepted":  {good: drop("spec.accounts[0].roles")},
			"a client is named by one account only": {bad: set("spec.accounts[1].client", "acme"), at: "spec.accounts[1]", says: "Duplicate value"},
		},
		list("spec.accounts", 256, func(i int) any { return map[string]any{"client": fmt.Sprintf("client-%d", i)} }),
		required("spec.accounts[0].client"),
		clientName("spec.accounts[0].client"),
		list("spec.accounts[0].roles", 64, numbered("role-%d")),
		roleName("spec.accounts[0].roles[0]"),
		rejects("spec.accounts[0].default", "must be of type boolean", "true", int64(1)),
	)
}

func userChanges() changes {
	return changes{
		"a user can be suspended":              {to: set("spec.state", "Suspended")},
		"a suspended user can be active again": {from: set("spec.state", "Suspended"), to: set("spec.state", "Active")},
		"a user can get another username":      {to: set("spec.username", "alice.smith@example.com")},
		"another account can be the default":   {to: combined(drop("spec.accounts[0].default"), set("spec.accounts[1].default", true))},
		"a user can lose every account":        {to: drop("spec.accounts")},
		"a user can lose its spec":             {to: drop("spec")},
		"a user can get the client's limits":   {to: drop("spec.logins")},
		"a second default is refused later too": {
			to: set("spec.accounts[1].default", true), at: "spec.accounts", says: "have more than one default",
		},
	}
}
