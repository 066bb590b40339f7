package grant_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/grant"
)

func TestAuthority_Within(t *testing.T) {
	noon := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	ranges := func(all ...string) (list []netip.Prefix) {
		for _, s := range all {
			list = append(list, netip.MustParsePrefix(s))
		}
		return list
	}
	limit := grant.Authority{Roles: []string{"developer"}, Permissions: []string{"search.*"}, Ranges: ranges("10.0.0.0/8", "fd00::/8"), End: noon}
	for name, x := range map[string]struct {
		twist func(*grant.Authority)
		over  grant.Part
	}{
		"all of it":                           {func(*grant.Authority) {}, ""},
		"nothing":                             {func(a *grant.Authority) { a.Roles, a.Permissions = nil, nil }, ""},
		"another role":                        {func(a *grant.Authority) { a.Roles = []string{"developer", "primary"} }, grant.PartRoles},
		"a permission under a wildcard":       {func(a *grant.Authority) { a.Permissions = []string{"search.query", "search.index.*"} }, ""},
		"a wider wildcard":                    {func(a *grant.Authority) { a.Permissions = []string{"*"} }, grant.PartPermissions},
		"a permission that is none":           {func(a *grant.Authority) { a.Permissions = []string{"search..x"} }, grant.PartPermissions},
		"narrower ranges":                     {func(a *grant.Authority) { a.Ranges = ranges("10.1.0.0/16", "10.0.0.0/8", "fd00::/64") }, ""},
		"all addresses":                       {func(a *grant.Authority) { a.Ranges = nil }, grant.PartRanges},
		"a wider range":                       {func(a *grant.Authority) { a.Ranges = ranges("10.0.0.0/7") }, grant.PartRanges},
		"a range of the other family":         {func(a *grant.Authority) { a.Ranges = ranges("0.0.0.0/0") }, grant.PartRanges},
		"a range that could not be read":      {func(a *grant.Authority) { a.Ranges = []netip.Prefix{{}} }, grant.PartRanges},
		"one range within, and one elsewhere": {func(a *grant.Authority) { a.Ranges = ranges("10.0.0.0/8", "192.0.2.0/24") }, grant.PartRanges},
		"a second before the end":             {func(a *grant.Authority) { a.End = noon.Add(-time.Second) }, ""},
		"a second after the end":              {func(a *grant.Authority) { a.End = noon.Add(time.Second) }, grant.PartEnd},
		"no end":                              {func(a *grant.Authority) { a.End = time.Time{} }, grant.PartEnd},
	} {
		a := limit
		x.twist(&a)
		if over, ok := a.Within(limit); over != x.over || ok != (x.over == "") {
			t.Errorf("%s: %q, %t", name, over, ok)
		}
	}
	if over, ok := (grant.Authority{}).Within(grant.Authority{}); !ok {
		t.Errorf("nothing within nothing: %q", over)
	}
	if _, ok := (grant.Authority{Roles: []string{"developer"}}).Within(grant.Authority{Permissions: []string{"*"}}); ok {
		t.Error("to hold all permissions is not to hold a role")
	}
	for _, wildcard := range []string{"sec.application-token.*", "sec.token.*", "search.*"} {
		if grant.Covers([]string{wildcard}, "sec.escalate.application-token") || grant.Covers([]string{wildcard}, "sec.escalate.introspect") {
			t.Errorf("%s covers it", wildcard)
		}
	}
}
