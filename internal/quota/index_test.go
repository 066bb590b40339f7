package quota_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/quota"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func key(n int) quota.Key { return quota.Key{Namespace: "shop", Name: fmt.Sprintf("t-%02d", n)} }

func age(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

func holds(c quota.Claim) quota.Observation { return quota.Observation{Holds: c} }

var acme = quota.Claim{Client: "acme", Namespace: "shop"}

func limits(n int) quota.Limits { return quota.Limits{Client: n, User: 1 << 20} }

// fill makes tokens hold the first reservations, and makes later tokens wait.
func fill(x *quota.Index, held, waiting int) {
	for n := range held + waiting {
		o := quota.Observation{Created: age(n), Holds: acme}
		if n >= held {
			o.Holds, o.Requested = quota.Claim{}, acme
		}
		x.Observe(key(n), o)
	}
}

func TestAllocate_ServesAsManyAsWereFreed(t *testing.T) {
	for _, gone := range []int{0, 1, 3, 5} {
		var x quota.Index
		fill(&x, 5, 20)
		if given := x.Allocate("acme", limits(5)); len(given) > 0 {
			t.Fatalf("given while none is free: %v", given)
		}
		var given []quota.Key
		for n := range gone {
			for _, client := range x.Forget(key(n)) {
				given = append(given, x.Allocate(client, limits(5))...)
			}
		}
		want := make([]quota.Key, 0, gone)
		for n := range gone {
			want = append(want, key(5+n))
		}
		if !slices.Equal(given, want) {
			t.Errorf("%d gone: given to %v, want the oldest, %v", gone, given, want)
		}
	}
}

func TestAbandon_ReservationMayBeTakenElsewhere(t *testing.T) {
	var x quota.Index
	fill(&x, 1, 2)
	if given := x.Allocate("acme", limits(2)); !slices.Equal(given, []quota.Key{key(1)}) {
		t.Fatalf("given to %v", given)
	}
	x.Abandon()
	x.Observe(key(2), holds(acme)) // by a decision of another replica
	if v, _ := x.Reserve(quota.Request{Token: key(1), Claim: acme, Created: age(1)}, limits(2), noon); v.Granted {
		t.Error("a third token got one of two places")
	}
	x.Forget(key(0))
	if v, _ := x.Reserve(quota.Request{Token: key(1), Claim: acme, Created: age(1)}, limits(2), noon); !v.Granted {
		t.Errorf("a free place: %+v", v)
	}
}

func TestAllocate_RaisedLimitServesTheOldest(t *testing.T) {
	var x quota.Index
	fill(&x, 5, 20)
	if given := x.Allocate("acme", limits(7)); !slices.Equal(given, []quota.Key{key(5), key(6)}) {
		t.Errorf("given to %v", given)
	}
	if given := x.Allocate("acme", limits(7)); len(given) > 0 {
		t.Errorf("given again: %v", given)
	}
}

func TestAllocate_FullNamespaceDelaysNoOther(t *testing.T) {
	var x quota.Index
	l := quota.Limits{Client: 10, User: 10, Namespaces: map[string]int{"shop": 2, "blog": 10}}
	fill(&x, 2, 50)
	if given := x.Allocate("acme", l); len(given) > 0 {
		t.Fatalf("beyond the limit of the namespace: %v", given)
	}
	other := quota.Claim{Client: "acme", Namespace: "blog"}
	if v, _ := x.Reserve(quota.Request{Token: quota.Key{Namespace: "blog", Name: "a"}, Claim: other, Created: age(99)}, l, noon); !v.Granted {
		t.Errorf("the limit of another namespace: %+v", v)
	}
	if v, _ := x.Reserve(quota.Request{Token: key(60), Claim: acme, Created: age(60)}, l, noon); v.Granted || v.Scope != quota.OfNamespace || v.Limit != 2 {
		t.Errorf("beyond the limit of its own: %+v", v)
	}
}

func TestReserve_LimitsEachUser(t *testing.T) {
	var x quota.Index
	l := quota.Limits{Client: 10, User: 1}
	ann, bob := acme, acme
	ann.User, bob.User = "ann", "bob"
	for n, c := range []struct {
		claim quota.Claim
		want  bool
	}{{ann, true}, {ann, false}, {bob, true}, {acme, true}, {acme, true}} {
		if v, _ := x.Reserve(quota.Request{Token: key(n), Claim: c.claim, Created: age(n)}, l, noon); v.Granted != c.want || !v.Granted && v.Scope != quota.OfUser {
			t.Errorf("%d: %+v", n, v)
		}
	}
}

func TestReserve_MoveToAnotherUserCountsOnceForTheClient(t *testing.T) {
	var x quota.Index
	ann, bob := acme, acme
	ann.User, bob.User = "ann", "bob"
	l := quota.Limits{Client: 1, User: 1}
	x.Observe(key(0), quota.Observation{Created: age(0), Holds: ann, Requested: bob, Unevaluated: true})
	if v, _ := x.Reserve(quota.Request{Token: key(0), Claim: bob, Created: age(0)}, l, noon); !v.Granted {
		t.Errorf("its own place is in its way: %+v", v)
	}
	x.Observe(key(0), holds(bob))
	if v, _ := x.Reserve(quota.Request{Token: key(1), Claim: ann, Created: age(1)}, l, noon); v.Granted || v.Scope != quota.OfClient || v.Before != 1 {
		t.Errorf("a second one: %+v", v)
	}
}

func TestReserve_UnevaluatedDelayOnlyTheirNamespace(t *testing.T) {
	var x quota.Index
	x.Observe(key(0), quota.Observation{Created: age(0), Requested: acme, Unevaluated: true})
	outsider := quota.Claim{Client: "acme", Namespace: "outsider"}
	for n := range 100 {
		x.Observe(quota.Key{Namespace: "outsider", Name: fmt.Sprint(n)}, quota.Observation{Created: age(-n), Requested: outsider, Unevaluated: true})
	}
	if v, _ := x.Reserve(quota.Request{Token: key(1), Claim: acme, Created: age(1)}, limits(1), noon); v.Granted || v.Before != 1 {
		t.Errorf("an older one of its namespace comes first: %+v", v)
	}
	if v, woken := x.Reserve(quota.Request{Token: key(0), Claim: acme, Created: age(0)}, limits(1), noon); !v.Granted || len(woken) > 0 {
		t.Errorf("the older one: %+v, woken %v", v, woken)
	}
	if clients := x.Release(key(0), quota.Observation{Created: age(0)}); !slices.Equal(clients, []string{"acme"}) {
		t.Errorf("it cannot be issued, and one waits: %v", clients)
	}
	if given := x.Allocate("acme", limits(1)); !slices.Equal(given, []quota.Key{key(1)}) {
		t.Errorf("given to %v", given)
	}
}

func TestPromise_HoldsUntilObservedOrWithdrawn(t *testing.T) {
	var x quota.Index
	promise := func(n int, now time.Time) bool { return x.Promise(key(n), acme, limits(2), now).Granted }
	if !promise(0, noon) || !promise(1, noon) || promise(2, noon) {
		t.Error("two of three were to be promised")
	}
	x.Withdraw(key(0))
	x.Observe(key(1), holds(acme))
	if !promise(2, noon) || promise(3, noon) {
		t.Error("one place came free")
	}
	if late := noon.Add(2 * time.Minute); !promise(4, late) || promise(5, late) {
		t.Error("a token that was never observed is given up")
	}
}

func TestPromise_OutlivesRequestThatComesTooLate(t *testing.T) {
	var x quota.Index
	promise := func(n int) bool { return x.Promise(key(n), acme, limits(1), noon).Granted }
	for range 2 {
		if !promise(0) {
			t.Fatal("two requests for one token need one place")
		}
	}
	x.Withdraw(key(0)) // the second request finds that a token of the name exists
	if promise(1) {
		t.Error("the place of the first request was given away")
	}
	x.Withdraw(key(0))
	if !promise(1) {
		t.Error("both have withdrawn, and the place is not free")
	}
}

func TestPromise_LeavesQuotaToWaitingTokens(t *testing.T) {
	var x quota.Index
	fill(&x, 1, 2)
	if v := x.Promise(key(9), acme, limits(3), noon); v.Granted {
		t.Error("two older ones wait for the two places")
	}
	if v := x.Promise(key(9), acme, limits(4), noon); !v.Granted {
		t.Error("there is one beside these")
	}
	if given := x.Allocate("acme", limits(3)); len(given) != 2 {
		t.Errorf("a promise is not what decides: %v", given)
	}
}

func TestIndex_KeepsNothingWhenEmpty(t *testing.T) {
	var x quota.Index
	fill(&x, 3, 3)
	x.Promise(key(9), acme, limits(9), noon)
	x.Withdraw(key(9))
	for n := range 6 {
		x.Forget(key(n))
	}
	if tokens, ledgers := quota.Size(&x); tokens != 0 || ledgers != 0 {
		t.Errorf("%d tokens and %d accounts are left", tokens, ledgers)
	}
}

// TestIndex_MatchesModel checks random steps against a model that counts every token each
// time.
func TestIndex_MatchesModel(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var x quota.Index
		m := model{}
		for step := range 200 {
			if text := m.step(&x, r); text != "" {
				t.Fatalf("seed %d, step %d: %s", seed, step, text)
			}
		}
	}
}
