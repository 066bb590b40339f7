package grant_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/grant"
)

func TestValidPermission_SegmentsAndTrailingWildcard(t *testing.T) {
	long := strings.Repeat("a.", grant.MaxPermission/2)
	for s, want := range map[string]bool{
		"*":                                      true,
		"search":                                 true,
		"search.query":                           true,
		"search.*":                               true,
		"sec.application-token.non-expiring.*":   true,
		"Sec.Continuous_rest.V2":                 true,
		"-._":                                    true,
		long + "a":                               true,
		long + "*":                               true,
		long + "aa":                              false,
		long + "a*":                              false,
		"":                                       false,
		".":                                      false,
		".*":                                     false,
		"**":                                     false,
		"*.*":                                    false,
		"*.query":                                false,
		"search*":                                false,
		"search.*.fast":                          false,
		"search.q*":                              false,
		"search.**":                              false,
		"search.*.":                              false,
		"search.":                                false,
		".search":                                false,
		"search..query":                          false,
		"search query":                           false,
		"search.query\n":                         false,
		"search.query\x00":                       false,
		"search/query":                           false,
		"search:query":                           false,
		"search,query":                           false,
		"client~primary":                         false,
		"sëarch":                                 false,
		"search.\xff":                            false,
		strings.Repeat("a", grant.MaxPermission): true,
	} {
		if got := grant.ValidPermission(s); got != want {
			t.Errorf("ValidPermission(%q) = %v", s, got)
		}
	}
}

func TestValidRoleName_AllowsTilde(t *testing.T) {
	for s, want := range map[string]bool{
		"primary":               true,
		"client~primary":        true,
		"dxp~developer":         true,
		"0":                     true,
		"A.b_c-d~":              true,
		strings.Repeat("a", 63): true,
		strings.Repeat("a", 64): false,
		"":                      false,
		"~primary":              false,
		".hidden":               false,
		"-flag":                 false,
		"_":                     false,
		"two words":             false,
		"a:b":                   false, // would forge a group: apptoken:role:<client>:<role>
		"a,b":                   false, // would forge a header of two roles
		"a\n":                   false,
		"*":                     false,
		"é":                     false,
	} {
		if got := grant.ValidRoleName(s); got != want {
			t.Errorf("ValidRoleName(%q) = %v", s, got)
		}
	}
}

func TestCovers_Patterns(t *testing.T) {
	for _, c := range []struct {
		held, wanted string
		want         bool
	}{
		{"search.query", "search.query", true},
		{"search.query", "search.query.fast", false},
		{"search.query", "search.quer", false},
		{"search.query", "search", false},
		{"search.query", "Search.query", false},
		{"search", "search.query", false},
		{"search.*", "search.query", true},
		{"search.*", "search.query.fast", true},
		{"search.*", "search", false},
		{"search.*", "searching.query", false},
		{"search.*", "research.query", false},
		{"search.*", "search.*", true},
		{"search.*", "search.query.*", true},
		{"search.query.*", "search.*", false},
		{"search.query", "search.*", false},
		{"search.query", "search.query.*", false},
		{"*", "search", true},
		{"*", "search.*", true},
		{"*", "*", true},
		{"search.*", "*", false},
		{"search", "*", false},
		// A malformed permission covers nothing and is covered by nothing.
		{"search*", "search", false},
		{"search*", "searching", false},
		{"", "search", false},
		{".*", "search", false},
		{"**", "search", false},
		{"*.*", "search.query", false},
		{"*.query", "search.query", false},
		{"search.**", "search.query", false},
		{"search.*.fast", "search.query.fast", false},
		{"*", "", false},
		{"*", "search.", false},
		{"*", "search..query", false},
		{"*", "search query", false},
		{"search.*", "search.", false},
		{"search.*", "search..", false},
		{"search*", "search*", false},
		{"", "", false},
	} {
		if got := grant.Covers([]string{c.held}, c.wanted); got != c.want {
			t.Errorf("%q covers %q: %v", c.held, c.wanted, got)
		}
	}
}

func TestCovers_OnePatternMustCoverWildcard(t *testing.T) {
	held := []string{"a.b", "a.c.*", "d"}
	for wanted, want := range map[string]bool{"a.b": true, "a.c.x": true, "d": true, "a.*": false, "a.c": false, "*": false} {
		if grant.Covers(held, wanted) != want {
			t.Errorf("%q covers %q: %v", held, wanted, !want)
		}
	}
	if grant.Covers(nil, "a") || grant.Covers(nil, "*") {
		t.Error("nothing covers something")
	}
}

func TestCovers_DoesNotAllocate(t *testing.T) {
	c := grant.NewCeiling(roles())
	h := c.Cut([]string{"primary", "developer"}, []string{"search.query"})
	if n := testing.AllocsPerRun(100, func() {
		_ = grant.Covers(h.Effective, "absent.holds.this")
		_ = h.May("search.query.fast")
		_ = h.Has("developer")
		_ = c.Covers("absent.holds.this.*")
		_ = grant.ValidPermission("search.*")
		_ = grant.ValidRoleName("client~primary")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzCovers compares Covers with the grammar as a regular expression, and with the definition: a
// pattern covers a wildcard if it covers a segment that no input contains.
func FuzzCovers(f *testing.F) {
	for _, held := range []string{"*", "a.*", "a.b", "a.b.*", "", "a*", "*.*", ".*", "a..*", strings.Repeat("a", 252) + ".*"} {
		for _, wanted := range []string{"*", "a", "a.*", "a.b.c", "", "a.", "*.b", strings.Repeat("a", 253)} {
			f.Add(held, wanted)
		}
	}
	permission := regexp.MustCompile(grant.PermissionPattern)
	roleName := regexp.MustCompile(grant.RoleNamePattern)
	valid := func(s string) bool { return len(s) <= grant.MaxPermission && permission.MatchString(s) }
	f.Fuzz(func(t *testing.T, held, wanted string) {
		for _, s := range []string{held, wanted} {
			if grant.ValidPermission(s) != valid(s) || grant.ValidRoleName(s) != roleName.MatchString(s) {
				t.Fatalf("%q: permission %v, role name %v", s, grant.ValidPermission(s), grant.ValidRoleName(s))
			}
		}
		want := false
		if valid(held) && valid(wanted) {
			fresh := strings.Repeat("x", len(held)+1) // held cannot name it
			concrete := strings.ReplaceAll(wanted, "*", fresh)
			means := strings.ReplaceAll(regexp.QuoteMeta(held), `\*`, `.+`)
			want = regexp.MustCompile(`^` + means + `$`).MatchString(concrete)
		}
		if got := grant.Covers([]string{held}, wanted); got != want {
			t.Fatalf("%q covers %q: %v", held, wanted, got)
		}
	})
}

func BenchmarkCovers(b *testing.B) {
	held := []string{"admin.read", "sec.application-token.*", "sec.continuous.rest", "search.*"}
	for name, c := range map[string]struct {
		wanted string
		want   bool
	}{
		"hit": {"search.query.fast", true}, "miss": {"sec.application.token.create", false}, "malformed": {"search..query", false},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if grant.Covers(held, c.wanted) != c.want {
					b.Fatal(c.wanted)
				}
			}
		})
	}
}

func BenchmarkCut(b *testing.B) {
	c := grant.NewCeiling(roles())
	b.ReportAllocs()
	for b.Loop() {
		if h := c.Cut([]string{"primary", "absent"}, []string{"search.query", "admin.*"}); !h.Over() {
			b.Fatal("nothing was over")
		}
	}
}

func TestIntersect_HoldsNoMoreThanEither(t *testing.T) {
	for name, x := range map[string]struct{ a, b, want []string }{
		"equal":               {[]string{"a.b"}, []string{"a.b"}, []string{"a.b"}},
		"a wildcard":          {[]string{"a.*"}, []string{"a.b", "b.c"}, []string{"a.b"}},
		"everything":          {[]string{"*"}, []string{"b.*", "a.b"}, []string{"a.b", "b.*"}},
		"nested wildcards":    {[]string{"a.*"}, []string{"a.b.*"}, []string{"a.b.*"}},
		"nothing in common":   {[]string{"a.b"}, []string{"a.c"}, nil},
		"a prefix is no part": {[]string{"a.*"}, []string{"ab.c", "a"}, nil},
		"an empty list":       {nil, []string{"*"}, nil},
		"malformed":           {[]string{"*"}, []string{"a..b", ""}, nil},
		"overlaps":            {[]string{"a.*", "a.b"}, []string{"a.b", "a.*"}, []string{"a.*", "a.b"}},
	} {
		for _, got := range [][]string{grant.Intersect(x.a, x.b), grant.Intersect(x.b, x.a)} {
			if !slices.Equal(got, x.want) {
				t.Errorf("%s: %q, want %q", name, got, x.want)
			}
		}
		for _, p := range grant.Intersect(x.a, x.b) {
			if !grant.Covers(x.a, p) || !grant.Covers(x.b, p) {
				t.Errorf("%s: %q is not held by both", name, p)
			}
		}
	}
}
