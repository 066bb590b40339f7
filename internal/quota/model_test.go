package quota_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/apptoken/operator/internal/quota"
)

// modelToken is the state of one token in the model.
type modelToken struct {
	quota.Observation
	key      quota.Key
	reserved quota.Claim
}

// model makes the decisions of an Index in the simplest way.
type model map[quota.Key]*modelToken

var noClaim quota.Claim

func (m model) sorted() []*modelToken {
	var all []*modelToken
	for _, f := range m {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *modelToken) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.key.Namespace, b.key.Namespace), cmp.Compare(a.key.Name, b.key.Name))
	})
	return all
}

// fits reports whether f fits beside all others, and beside the older unevaluated tokens of its
// class.
func (m model) fits(f *modelToken, c quota.Claim, l quota.Limits) bool {
	client, namespace, user, older := 0, 0, 0, true
	for _, o := range m.sorted() {
		if o == f {
			older = false
			continue
		}
		places := []quota.Claim{o.Holds, o.reserved}
		if older && o.Unevaluated && o.Requested == c && o.reserved != c {
			places = append(places, quota.Claim{}) // counted below
			client, namespace, user = client+1, namespace+1, user+1
		}
		has := func(is func(quota.Claim) bool) int {
			if slices.ContainsFunc(places, func(p quota.Claim) bool { return p.Client == c.Client && is(p) }) {
				return 1
			}
			return 0
		}
		client += has(func(quota.Claim) bool { return true })
		namespace += has(func(p quota.Claim) bool { return p.Namespace == c.Namespace })
		user += has(func(p quota.Claim) bool { return p.User == c.User })
	}
	return client < l.Client && (c.Namespace == "" || namespace < l.Namespaces[c.Namespace]) && (c.User == "" || user < l.User)
}

func (m model) allocate(client string, l quota.Limits) (given []quota.Key) {
	for again := true; again; {
		again = false
		seen := map[quota.Claim]bool{}
		for _, f := range m.sorted() {
			if f.Requested.Client != client || f.Unevaluated || f.Requested == f.reserved || seen[f.Requested] {
				continue
			}
			seen[f.Requested] = true
			if m.fits(f, f.Requested, l) {
				f.reserved, again = f.Requested, true
				given = append(given, f.key)
				break
			}
		}
	}
	return given
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// step does one random operation on both, and returns how they differ.
func (m model) step(x *quota.Index, r *rand.Rand) string {
	n := r.IntN(12)
	k := quota.Key{Namespace: pick(r, "shop", "blog"), Name: fmt.Sprint(n)}
	c := quota.Claim{Client: pick(r, "acme", "zoo"), Namespace: k.Namespace, User: pick(r, "", "ann")}
	l := quota.Limits{Client: r.IntN(8), User: r.IntN(4), Namespaces: map[string]int{"shop": r.IntN(5), "blog": 100}}
	f := m[k]
	switch what := r.IntN(10); {
	case what < 4:
		o := quota.Observation{Created: age(n), Holds: pick(r, c, noClaim), Requested: pick(r, c, noClaim, noClaim), Unevaluated: r.IntN(2) == 0}
		if o.Holds == o.Requested || o.Requested == noClaim {
			o.Requested, o.Unevaluated = noClaim, false
		}
		x.Observe(k, o)
		if f == nil {
			f = &modelToken{key: k}
			m[k] = f
		}
		if f.Observation = o; f.reserved == o.Holds {
			f.reserved = noClaim
		}
	case what < 5:
		x.Forget(k)
		delete(m, k)
	case what < 6 && f != nil:
		o := quota.Observation{Created: age(n), Requested: pick(r, c, noClaim), Unevaluated: r.IntN(2) == 0}
		x.Release(k, o)
		if f.reserved != noClaim {
			f.Observation, f.reserved = o, noClaim
		}
	case what < 8 && f != nil:
		v, given := x.Reserve(quota.Request{Token: k, Claim: c, Created: age(n)}, l, noon)
		if f.reserved == c {
			if !v.Granted {
				return "a place that it was given is refused"
			}
			return ""
		}
		f.Created, f.Requested, f.Unevaluated, f.reserved = age(n), c, false, noClaim
		want := m.allocate(c.Client, l)
		granted := slices.Contains(want, k)
		want = slices.DeleteFunc(want, func(o quota.Key) bool { return o == k })
		if v.Granted != granted || !slices.Equal(given, want) {
			return fmt.Sprintf("Reserve %v %+v: %+v and %v, the model says %t and %v", k, c, v, given, granted, want)
		}
	case what < 9:
		mine := quota.Key{Namespace: "own", Name: "new"}
		made := quota.Claim{Client: c.Client, User: c.User}
		granted := x.Promise(mine, made, l, noon).Granted
		x.Withdraw(mine)
		trial := model{}
		for k, f := range m {
			trial[k] = &modelToken{f.Observation, f.key, f.reserved}
		}
		trial.allocate(c.Client, l)
		for _, f := range trial {
			if f.Unevaluated {
				f.Requested = noClaim
			}
		}
		if want := trial.fits(nil, made, l); granted != want {
			return fmt.Sprintf("Promise %+v: %t, the model says %t", made, granted, want)
		}
	default:
		given, want := x.Allocate(c.Client, l), m.allocate(c.Client, l)
		if !slices.Equal(given, want) {
			return fmt.Sprintf("Allocate: %v, the model says %v", given, want)
		}
	}
	return ""
}
