package v1alpha1_test

import (
	"fmt"
	"strings"
)

// Rules that many fields share, each as the table for one field.

func chars(n int) string { return strings.Repeat("a", n) }

// accepts returns a table of values that a field may have.
func accepts(at string, values ...any) table {
	t := table{}
	for _, v := range values {
		t[fmt.Sprintf("%s may be %q", at, fmt.Sprint(v))] = rule{good: set(at, v), at: at}
	}
	return t
}

// rejects returns a table of values that a field may not have, with the message that the user gets.
func rejects(at, says string, values ...any) table {
	t := table{}
	for _, v := range values {
		t[fmt.Sprintf("%s may not be %q", at, fmt.Sprint(v))] = rule{bad: set(at, v), at: at, says: says}
	}
	return t
}

func required(paths ...string) table {
	t := table{}
	for _, at := range paths {
		t[at+" is required"] = rule{bad: drop(at), at: at, says: "Required value"}
	}
	return t
}

func oneOf(at string, values ...string) table {
	quoted := make([]string, len(values))
	t := table{}
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
		t[at+" may be "+v] = rule{good: set(at, v), at: at}
	}
	says := "supported values: " + strings.Join(quoted, ", ")
	return merge(t, rejects(at, says, "", strings.ToLower(values[0]), values[0]+" ", "None"))
}

func between(at string, least, most int64) table {
	return merge(
		accepts(at, least, most),
		rejects(at, fmt.Sprintf("greater than or equal to %d", least), least-1, int64(-1)),
		rejects(at, fmt.Sprintf("less than or equal to %d", most), most+1),
		rejects(at, "must be of type int", "1", 1.5, true),
	)
}

func maxLength(at string, n int) table {
	return table{fmt.Sprintf("%s has at most %d characters", at, n): {
		good: set(at, chars(n)), bad: set(at, chars(n+1)), at: at, says: fmt.Sprintf("may not be more than %d bytes", n),
	}}
}

// list returns the table of a list without duplicates, of at most n entries. entry(i) is the i-th
// entry.
func list(at string, n int, entry func(i int) any) table {
	entries := func(n int) []any {
		all := make([]any, n)
		for i := range all {
			all[i] = entry(i)
		}
		return all
	}
	return table{
		fmt.Sprintf("%s has at most %d entries", at, n): {
			good: set(at, entries(n)), bad: set(at, entries(n+1)), at: at, says: fmt.Sprintf("must have at most %d items", n),
		},
		at + " has no entry twice": {
			good: set(at, entries(2)), bad: set(at, []any{entry(0), entry(1), entry(0)}), at: at + "[2]", says: "Duplicate value",
		},
	}
}

func numbered(format string) func(int) any {
	return func(i int) any { return fmt.Sprintf(format, i) }
}

// invalidDurations are the durations that are invalid in every field, with the reason.
var invalidDurations = []any{
	"-1h", "-0s", "+1h", "1.5h", ".5h", "1,5h", "1e3h", "1000000h", "99999999999h", "10000000m", "1000000000s",
	"90", "0", "h", "1d", "1w", "1y", "1ms", "1us", "1ns", "1H", "1 h", " 1h", "1h ", "1h\n", "30m1h", "1h1h", "1h30", "٣h",
	"soon", "PT1H", "1h garbage", "{{ .Values.every }}", "999999h9999999m999999999s9",
}

// duration returns the table of a duration that may be zero, and positive the table of one that may
// not.
func duration(at string) table {
	return merge(
		accepts(at, "0s", "0h0m0s", "1s", "90m", "1h30m", "00h01m"),
		length(at, "must be whole hours, minutes and seconds, such as 720h or 1h30m: not negative, at most 999999h"),
	)
}

func positive(at string) table {
	const says = "must be whole hours, minutes and seconds, such as 720h or 1h30m: more than zero, at most 999999h; remove the field if it is not wanted"
	return merge(
		accepts(at, "1s", "90m", "1h30m", "720h", "999999h", "999999h9999999m999999999s"),
		rejects(at, says, "0s", "0h", "00h00m00s"),
		length(at, says),
	)
}

func length(at, says string) table {
	return merge(
		rejects(at, says, invalidDurations...),
		rejects(at, "should be at least 2 chars long", ""),
		rejects(at, "may not be more than 26 bytes", "0000000000000000000000001h0"),
		rejects(at, "must be of type string", int64(3600), 1.5, true),
	)
}

func objectName(at string) table {
	const says = "must be the name of an object: lower case letters, digits, - and ."
	return merge(
		maxLength(at, 253),
		accepts(at, "a", "1", "search-2.example.com"),
		rejects(at, says, "Indexer", "a_b", "-a", "a-", ".a", "a..b", "a/b", " a", "a\n", "über"),
		rejects(at, "should be at least 1 chars long", ""),
	)
}

// clientName returns the table of a name that a Client can have, which is shorter than those of
// other objects.
func clientName(at string) table {
	return merge(
		maxLength(at, 63),
		accepts(at, "a", "1", "acme.example.com"),
		rejects(at, "must be the name of a Client: lower case letters, digits, - and .", "Acme", "a_b", "-a", "a-", ".a", "a..b", "a/b", "a~b", " a", "a\n", "*"),
		rejects(at, "should be at least 1 chars long", ""),
	)
}

func namespaceName(at, says string) table {
	return merge(
		maxLength(at, 63),
		accepts(at, "a", "shop-1", "1"),
		rejects(at, says, "", "*", "shop-*", "Shop", "a.b", "a/b", "-a", "a-", "a b", "a\n"),
	)
}

func roleName(at string) table {
	return merge(
		maxLength(at, 63),
		accepts(at, "primary", "client~primary", "A.b_c-9"),
		rejects(at, "should match '^[A-Za-z0-9]", "", "~primary", "-a", "a b", "a/b", "a:b", "a\n", "rôle", "*"),
	)
}

func permission(at string) table {
	return merge(
		maxLength(at, 128),
		accepts(at, "*", "search", "search.*", "sec.application-token.*", "A_b.c-9"),
		rejects(at, "should match '^(\\*|", "", "**", "search.**", "*.search", "search.*.a", "se*", ".", ".a", "a.", "a..b", "a b", "a\n", "a:b"),
	)
}

func sourceRange(at string) table {
	const longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"
	return merge(
		accepts(at, "0.0.0.0/0", "10.0.0.0/8", "192.0.2.7/32", "::/0", "fd00::/8", longest),
		rejects(at, "must be an address range such as 10.0.0.0/8 or fd00::/8",
			"", "10.0.0.0", "fd00::", "10.0.0.0/33", "fd00::/129", "10.0.0.0/-1", "10.0.0.0/08", "010.0.0.0/8", "10.0/8",
			"10.0.0.0/8 ", "10.0.0.0/255.0.0.0", "10.0.0.0/8,fd00::/8", "fe80::1%eth0/64", "::ffff:10.0.0.0/104",
			"example.com", "*", "private"),
		rejects(at, "may not be more than 43 bytes", longest+" "),
	)
}

func sourceRanges(at string) table {
	return merge(list(at, 32, numbered("10.%d.0.0/16")), sourceRange(at+"[0]"))
}

func digest(at string) table {
	const good = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	return merge(
		accepts(at, good),
		rejects(at, "should match '^[0-9a-f]{64}$'", "", "abc", good[:63], strings.ToUpper(good), good[:63]+"g", good[:63]+"\n"),
		rejects(at, "may not be more than 64 bytes", good+"0"),
	)
}

func instant(at string) table {
	return merge(
		accepts(at, "2026-03-01T12:00:00Z"),
		rejects(at, "must be of type date-time", "", "yesterday", "2026-03-01", "12:00", "1772366400", "2026-13-01T12:00:00Z"),
	)
}
