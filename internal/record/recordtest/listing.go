package recordtest

import "github.com/apptoken/operator/internal/record"

// of returns a sample with another owner.
func of(label string, twist func(*record.Owner)) record.Record {
	r := sample(label)
	twist(&r.Owner)
	return r
}

var listing = map[string]func(s trial){
	"an owner has its records and no others": func(s trial) {
		a, b := s.added(sample("a")), s.added(full("b"))
		other := s.added(of("other", func(o *record.Owner) { o.Name = "indexer-2" }))
		s.lists(indexer, a, b)
		s.lists(other.Owner, other)
	},
	"records of a namesake in another namespace are not listed": func(s trial) {
		here := s.added(sample("here"))
		there := s.added(of("there", func(o *record.Owner) { o.Namespace = "shop-2" }))
		s.lists(indexer, here)
		s.lists(there.Owner, there)
	},
	"records of a namesake of another kind are not listed": func(s trial) {
		token := s.added(sample("token"))
		user := s.added(of("user", func(o *record.Owner) { o.Kind = "User" }))
		s.lists(indexer, token)
		s.lists(user.Owner, user)
	},
	"an owner in no namespace has its records": func(s trial) {
		user := s.added(of("user", func(o *record.Owner) { o.Kind, o.Namespace = "User", "" }))
		s.added(of("token", func(o *record.Owner) { o.Kind = "User" }))
		s.lists(user.Owner, user)
	},
	"a namesake's records are listed whatever its uid": func(s trial) {
		before := s.added(of("before", func(o *record.Owner) { o.UID = "0d6c1a52-0" }))
		now := s.added(sample("now"))
		s.lists(indexer, before, now)
		s.lists(record.Owner{Kind: indexer.Kind, Namespace: indexer.Namespace, Name: indexer.Name}, before, now)
	},
	"an owner of nothing has no records": func(s trial) {
		s.added(sample("a"))
		for what, o := range map[string]record.Owner{
			"nobody":                      {},
			"by kind alone":               {Kind: indexer.Kind},
			"by namespace alone":          {Kind: indexer.Kind, Namespace: indexer.Namespace},
			"by name alone":               {Kind: indexer.Kind, Name: indexer.Name},
			"the same two the wrong way":  {Kind: indexer.Kind, Namespace: indexer.Name, Name: indexer.Namespace},
			"a name that begins the same": {Kind: indexer.Kind, Namespace: indexer.Namespace, Name: "index"},
			"a name that is no label":     {Kind: indexer.Kind, Namespace: indexer.Namespace, Name: "indexer,spec.client=acme"},
		} {
			if got, err := s.Of(s.Context(), o); err != nil || len(got) != 0 {
				s.Errorf("%s: %v, %v", what, got, err)
			}
		}
		s.lists(indexer, sample("a"))
	},
	"what is listed is what there is": func(s trial) {
		want := full("a")
		s.added(want)
		s.lists(indexer, want)
		listed, err := s.Of(s.Context(), indexer)
		if err != nil || len(listed) != 1 {
			s.Fatalf("listed %v, %v", listed, err)
		}
		s.equal("Of", listed[0], want)
	},
	"what is listed is as the store wrote it last": func(s trial) {
		now := s.added(sample("a"))
		s.lists(indexer, now)
		for range 20 {
			now = s.changed(now, func(r *record.Record) { r.Version++ })
			listed, err := s.Of(s.Context(), indexer)
			if err != nil || len(listed) != 1 {
				s.Fatalf("listed %v, %v", listed, err)
			}
			s.equal("Of", listed[0], now)
		}
		s.done("Retire", s.Retire(s.Context(), now))
		if listed, err := s.Of(s.Context(), indexer); err != nil || len(listed) != 0 {
			s.Errorf("listed %v, %v after the last was retired", listed, err)
		}
	},
}
