package recordtest

import (
	"github.com/apptoken/operator/internal/record"
)

// sampleOwnedBy returns a sample with another owner.
func sampleOwnedBy(label string, twist func(*record.Owner)) record.Record {
	r := sample(label)
	twist(&r.Owner)
	return r
}

var listTests = map[string]func(s storeTest){
	"an owner has its records and no others": func(s storeTest) {
		a, b := s.mustAdd(sample("a")), s.mustAdd(fullSample("b"))
		other := s.mustAdd(sampleOwnedBy("other", func(o *record.Owner) { o.Name = "indexer-2" }))
		s.waitForList(sampleOwner, a, b)
		s.waitForList(other.Owner, other)
	},
	"records of a namesake in another namespace are not listed": func(s storeTest) {
		here := s.mustAdd(sample("here"))
		there := s.mustAdd(sampleOwnedBy("there", func(o *record.Owner) { o.Namespace = "shop-2" }))
		s.waitForList(sampleOwner, here)
		s.waitForList(there.Owner, there)
	},
	"records of a namesake of another kind are not listed": func(s storeTest) {
		token := s.mustAdd(sample("token"))
		user := s.mustAdd(sampleOwnedBy("user", func(o *record.Owner) { o.Kind = "User" }))
		s.waitForList(sampleOwner, token)
		s.waitForList(user.Owner, user)
	},
	"an owner in no namespace has its records": func(s storeTest) {
		user := s.mustAdd(sampleOwnedBy("user", func(o *record.Owner) { o.Kind, o.Namespace = "User", "" }))
		s.mustAdd(sampleOwnedBy("token", func(o *record.Owner) { o.Kind = "User" }))
		s.waitForList(user.Owner, user)
	},
	"a namesake's records are listed whatever its uid": func(s storeTest) {
		before := s.mustAdd(sampleOwnedBy("before", func(o *record.Owner) { o.UID = "0d6c1a52-0" }))
		now := s.mustAdd(sample("now"))
		s.waitForList(sampleOwner, before, now)
		s.waitForList(record.Owner{Kind: sampleOwner.Kind, Namespace: sampleOwner.Namespace, Name: sampleOwner.Name}, before, now)
	},
	"an owner of nothing has no records": func(s storeTest) {
		s.mustAdd(sample("a"))
		for what, o := range map[string]record.Owner{
			"absent":                      {},
			"by kind alone":               {Kind: sampleOwner.Kind},
			"by namespace alone":          {Kind: sampleOwner.Kind, Namespace: sampleOwner.Namespace},
			"by name alone":               {Kind: sampleOwner.Kind, Name: sampleOwner.Name},
			"the same two the wrong way":  {Kind: sampleOwner.Kind, Namespace: sampleOwner.Name, Name: sampleOwner.Namespace},
			"a name that begins the same": {Kind: sampleOwner.Kind, Namespace: sampleOwner.Namespace, Name: "index"},
			"a name that is no label":     {Kind: sampleOwner.Kind, Namespace: sampleOwner.Namespace, Name: "indexer,spec.client=acme"},
		} {
			if got, err := s.ListByOwner(s.Context(), o); err != nil || len(got) != 0 {
				s.Errorf("%s: %v, %v", what, got, err)
			}
		}
		s.waitForList(sampleOwner, sample("a"))
	},
	"every stored record is listed": func(s storeTest) {
		want := fullSample("a")
		s.mustAdd(want)
		s.waitForList(sampleOwner, want)
		listed, err := s.ListByOwner(s.Context(), sampleOwner)
		if err != nil || len(listed) != 1 {
			s.Fatalf("listed %v, %v", listed, err)
		}
		s.wantEqual("Of", listed[0], want)
	},
	"what is listed is as the store wrote it last": func(s storeTest) {
		now := s.mustAdd(sample("a"))
		s.waitForList(sampleOwner, now)
		for range 20 {
			now = s.mustChange(now, func(r *record.Record) { r.Version++ })
			listed, err := s.ListByOwner(s.Context(), sampleOwner)
			if err != nil || len(listed) != 1 {
				s.Fatalf("listed %v, %v", listed, err)
			}
			s.wantEqual("Of", listed[0], now)
		}
		s.wantNoError("Retire", s.Retire(s.Context(), now))
		if listed, err := s.ListByOwner(s.Context(), sampleOwner); err != nil || len(listed) != 0 {
			s.Errorf("listed %v, %v after the last was retired", listed, err)
		}
	},
}
