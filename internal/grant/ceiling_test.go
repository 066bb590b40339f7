package grant_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/apptoken/operator/internal/grant"
)

// roles returns the roles of the design's example, and one whose name holds a tilde.
func roles() []grant.Role {
	return []grant.Role{
		{Name: "primary", Permissions: []string{"search.*", "sec.continuous.rest"}},
		{Name: "developer", Permissions: []string{"sec.application-token.*"}},
		{Name: "client~reader", Permissions: []string{"search.query"}},
	}
}

func TestCut_DividesWithinAndOver(t *testing.T) {
	all := grant.NewCeiling(roles())
	for name, c := range map[string]struct {
		ceiling            grant.Ceiling
		roles, permissions []string
		want               grant.Holding
	}{
		"who wants nothing has nothing": {ceiling: all},
		"a role brings its permissions": {all, []string{"primary"}, nil, grant.Holding{
			Roles: []string{"primary"}, Effective: []string{"search.*", "sec.continuous.rest"}}},
		"a role with a tilde": {all, []string{"client~reader"}, nil, grant.Holding{
			Roles: []string{"client~reader"}, Effective: []string{"search.query"}}},
		"a single permission needs no role": {all, nil, []string{"search.query"}, grant.Holding{
			Permissions: []string{"search.query"}, Effective: []string{"search.query"}}},
		"an unknown role is over": {all, []string{"owner", "primary"}, nil, grant.Holding{
			Roles: []string{"primary"}, Effective: []string{"search.*", "sec.continuous.rest"}, OverRoles: []string{"owner"}}},
		"a permission of no role is over": {all, nil, []string{"admin.delete", "search.a"}, grant.Holding{
			Permissions: []string{"search.a"}, Effective: []string{"search.a"}, OverPermissions: []string{"admin.delete"}}},
		"a wildcard wider than any pattern is over as a whole": {all, nil, []string{"sec.*", "*", "search.*"}, grant.Holding{
			Permissions: []string{"search.*"}, Effective: []string{"search.*"}, OverPermissions: []string{"*", "sec.*"}}},
		"sorted, and each once": {all, []string{"primary", "developer", "primary"}, []string{"search.b", "search.a", "search.b", "search.*"}, grant.Holding{
			Roles: []string{"developer", "primary"}, Permissions: []string{"search.*", "search.a", "search.b"},
			Effective: []string{"search.*", "search.a", "search.b", "sec.application-token.*", "sec.continuous.rest"}}},
		"malformed is over": {all, []string{"", "~", "primary "}, []string{"", "search.", "search..*"}, grant.Holding{
			OverRoles: []string{"", "primary ", "~"}, OverPermissions: []string{"", "search.", "search..*"}}},
		"the zero ceiling allows nothing": {grant.Ceiling{}, []string{"primary"}, []string{"search.query", "*"}, grant.Holding{
			OverRoles: []string{"primary"}, OverPermissions: []string{"*", "search.query"}}},
		"a namespace draws the roles it was granted": {all.Restrict([]string{"client~reader"}), []string{"primary", "client~reader"}, []string{"search.query", "search.*"}, grant.Holding{
			Roles: []string{"client~reader"}, Permissions: []string{"search.query"}, Effective: []string{"search.query"},
			OverRoles: []string{"primary"}, OverPermissions: []string{"search.*"}}},
		"a namespace that was granted nothing draws nothing": {all.Restrict(nil), []string{"primary"}, []string{"search.query"}, grant.Holding{
			OverRoles: []string{"primary"}, OverPermissions: []string{"search.query"}}},
		"a grant of an unknown role makes no role": {all.Restrict([]string{"owner", "*", ""}), []string{"owner", "primary"}, nil, grant.Holding{
			OverRoles: []string{"owner", "primary"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.ceiling.Cut(c.roles, c.permissions)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if got.Over() != (len(c.want.OverRoles)+len(c.want.OverPermissions) > 0) {
				t.Errorf("Over is %v", got.Over())
			}
		})
	}
}

func TestHolding_PermissionsAreNotTheRole(t *testing.T) {
	h := grant.NewCeiling(roles()).Cut([]string{"primary"}, nil)
	if !h.May("search.query") || h.Has("client~reader") || !h.Has("primary") || h.Has("*") || h.May("search") {
		t.Errorf("%+v", h)
	}
	var none grant.Holding
	if none.May("search.query") || none.Has("") || none.Over() {
		t.Error("the zero Holding may do something")
	}
}

func TestNewCeiling_MergesRolesDropsMalformed(t *testing.T) {
	c := grant.NewCeiling([]grant.Role{
		{Name: "a", Permissions: []string{"x", "y", "x"}},
		{Name: "", Permissions: []string{"*"}},
		{Name: "b c", Permissions: []string{"*"}},
		{Name: "a", Permissions: []string{"z.*", "**", "z*", ""}},
		{Name: "empty"},
	})
	want := grant.Holding{Roles: []string{"a", "empty"}, Effective: []string{"x", "y", "z.*"}, OverRoles: []string{"", "b c"}}
	if got := c.Cut([]string{"a", "", "b c", "empty"}, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestCeiling_SharesNoMemory(t *testing.T) {
	given := roles()
	c := grant.NewCeiling(given)
	before := c.Cut([]string{"primary"}, nil)
	given[0].Permissions[0], given[0].Name = "*", "other"
	got := c.Cut([]string{"primary"}, nil)
	got.Effective[0] = "*"
	if again := c.Cut([]string{"primary"}, nil); !reflect.DeepEqual(again, before) {
		t.Errorf("the ceiling changed from %+v to %+v", before, again)
	}
	wanted := []string{"search.b", "search.a"}
	c.Cut(nil, wanted)
	if wanted[0] != "search.b" {
		t.Error("Cut sorted the list of its caller")
	}
}

// generator makes small random inputs that often overlap: few names, short paths, and sometimes
// something malformed.
type generator struct{ *rand.Rand }

func (w generator) listOf(of func() string) []string {
	list := make([]string, w.IntN(5))
	for i := range list {
		list[i] = of()
	}
	return list
}

func (w generator) name() string { return []string{"a", "b", "c~d", "e", "bad name"}[w.IntN(5)] }

func (w generator) permission() string {
	if w.IntN(15) == 0 {
		return []string{"*", "", "x*", "x..y", "*.x"}[w.IntN(5)]
	}
	p := []string{"x", "y"}[w.IntN(2)]
	for range w.IntN(3) {
		p += "." + []string{"x", "y"}[w.IntN(2)]
	}
	if w.IntN(3) == 0 {
		p += ".*"
	}
	return p
}

func (w generator) roles() []grant.Role {
	list := make([]grant.Role, w.IntN(5))
	for i := range list {
		list[i] = grant.Role{Name: w.name(), Permissions: w.listOf(w.permission)}
	}
	return list
}

// reduced removes something from roles: a role, a permission of a role, or the breadth of a
// wildcard.
func (w generator) reduced(from []grant.Role) []grant.Role {
	low := make([]grant.Role, len(from))
	for i, r := range from {
		low[i] = grant.Role{Name: r.Name, Permissions: slices.Clone(r.Permissions)}
	}
	if len(low) == 0 {
		return low
	}
	i := w.IntN(len(low))
	if len(low[i].Permissions) == 0 || w.IntN(3) == 0 {
		return slices.Delete(low, i, i+1)
	}
	j := w.IntN(len(low[i].Permissions))
	if narrow := w.permission(); grant.Covers(low[i].Permissions[j:j+1], narrow) {
		low[i].Permissions[j] = narrow
	} else {
		low[i].Permissions = slices.Delete(low[i].Permissions, j, j+1)
	}
	return low
}

// within fails the test if small has anything that big does not have.
func within(t *testing.T, what string, small, big grant.Holding) {
	t.Helper()
	for _, r := range small.Roles {
		if !big.Has(r) {
			t.Errorf("%s: role %q came from nowhere", what, r)
		}
	}
	for _, p := range append(slices.Clone(small.Effective), small.Permissions...) {
		if !big.May(p) {
			t.Errorf("%s: permission %q came from nowhere", what, p)
		}
	}
}

// TestCeiling_NeverGrantsMoreThanGiven checks section 3.6 of the design: nothing can be granted
// that was not granted. Each law holds for every ceiling and every request.
func TestCeiling_NeverGrantsMoreThanGiven(t *testing.T) {
	kept, cut := 0, 0
	for seed := range uint64(20000) {
		w := generator{rand.New(rand.NewPCG(seed, 1))}
		given, wantRoles, wantPermissions := w.roles(), w.listOf(w.name), w.listOf(w.permission)
		c := grant.NewCeiling(given)
		h := c.Cut(wantRoles, wantPermissions)
		kept += len(h.Effective)
		cut += len(h.OverRoles) + len(h.OverPermissions)

		for _, p := range append(slices.Clone(h.Effective), h.Permissions...) {
			if !c.Covers(p) || !slices.ContainsFunc(given, func(r grant.Role) bool { return grant.Covers(r.Permissions, p) }) {
				t.Errorf("the ceiling does not cover %q", p)
			}
		}
		for _, lists := range [][3][]string{{wantRoles, h.Roles, h.OverRoles}, {wantPermissions, h.Permissions, h.OverPermissions}} {
			for _, one := range lists[0] {
				if slices.Contains(lists[1], one) == slices.Contains(lists[2], one) {
					t.Errorf("%q is both or neither within and over", one)
				}
			}
			for _, one := range slices.Concat(lists[1], lists[2]) {
				if !slices.Contains(lists[0], one) {
					t.Errorf("%q was never wanted", one)
				}
			}
		}

		again := c.Cut(h.Roles, h.Permissions)
		if again.Over() {
			t.Errorf("cutting twice cuts again: %+v", again)
		}
		h2 := h
		h2.OverRoles, h2.OverPermissions = nil, nil
		if !reflect.DeepEqual(again, h2) {
			t.Errorf("cutting twice gives %+v, then %+v", h2, again)
		}

		within(t, "a lower ceiling", grant.NewCeiling(w.reduced(given)).Cut(wantRoles, wantPermissions), h)
		names := w.listOf(w.name)
		within(t, "a restricted ceiling", c.Restrict(names).Cut(wantRoles, wantPermissions), h)
		if twice := c.Restrict(names).Restrict(names); !reflect.DeepEqual(twice, c.Restrict(names)) {
			t.Error("restricting twice restricts again")
		}
		if fewer := len(wantRoles); fewer > 0 {
			within(t, "a smaller request", c.Cut(wantRoles[1:], wantPermissions), h)
		}

		shuffled := slices.Clone(given)
		for i, r := range shuffled {
			shuffled[i].Permissions = shuffle(w, r.Permissions)
		}
		if other := grant.NewCeiling(shuffle(w, shuffled)).Cut(shuffle(w, wantRoles), shuffle(w, wantPermissions)); !reflect.DeepEqual(other, h) {
			t.Errorf("another order gives %+v instead of %+v", other, h)
		}
		if t.Failed() {
			t.Fatalf("seed %d: roles %+v, wanted %q and %q, got %+v", seed, given, wantRoles, wantPermissions, h)
		}
	}
	if kept < 10000 || cut < 10000 {
		t.Errorf("the inputs test too little: %d permissions kept, %d things cut", kept, cut)
	}
}

func shuffle[T any](w generator, list []T) []T {
	list = slices.Clone(list)
	w.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}
