package recordtest

import (
	"context"
	"math"
	"reflect"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

var adding = map[string]func(s trial){
	"what is added is found by its digest and by its name": func(s trial) {
		want := sample("a")
		s.equal("Add", s.added(want), want)
		s.holds(want)
	},
	"what is added says when it came": func(s trial) {
		added := s.added(sample("a"))
		if got := s.must(s.Confirm(s.Context(), added.Name())); added.CreatedAt.IsZero() || !got.CreatedAt.Equal(added.CreatedAt) {
			s.Errorf("created at %v when it was added, at %v when it was read", added.CreatedAt, got.CreatedAt)
		}
	},
	"every field comes back": func(s trial) {
		want := full("a")
		for _, f := range kept() {
			if reflect.ValueOf(want).FieldByIndex(f.Index).IsZero() {
				s.Fatalf("the sample says nothing of %s, which is a field that a store keeps", f.Name)
			}
		}
		s.equal("Add", s.added(want), want)
		s.holds(want)
	},
	"what is absent stays absent": func(s trial) {
		want := record.Record{Kind: token.Application, Digest: sample("a").Digest, Owner: indexer, IssuedAt: noon}
		s.added(want)
		s.holds(want)
	},
	"an empty list is none": func(s trial) {
		want := sample("a")
		s.added(twisted(want, func(r *record.Record) { r.Permissions, r.SourceRanges = []string{}, []string{} }))
		s.holds(want)
	},
	"what was never used says so": func(s trial) {
		added := s.added(twisted(sample("a"), func(r *record.Record) { r.LastUsedAt, r.LastUsedFrom = noon, "10.0.0.1" }))
		if !added.LastUsedAt.IsZero() || added.LastUsedFrom != "" {
			s.Errorf("a new record was last used at %v from %q", added.LastUsedAt, added.LastUsedFrom)
		}
	},
	"times come back to the second, and never later": func(s trial) {
		want := full("a")
		added := s.added(twisted(want, func(r *record.Record) {
			r.IssuedAt = r.IssuedAt.Add(999_999_999)
			r.ExpiresAt = r.ExpiresAt.Add(500 * time.Millisecond)
			r.SupersededAt = r.SupersededAt.Add(1).In(time.FixedZone("", -7*60*60))
		}))
		s.equal("Add", added, want)
		s.holds(want)
	},
	"an expiry is kept or refused, but never lost [row 17]": func(s trial) {
		for label, at := range map[string]time.Time{
			"the epoch":                 time.Unix(0, 0),
			"the end of the year 9999":  time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC),
			"the year 10000":            time.Date(10000, time.January, 1, 0, 0, 0, 0, time.UTC),
			"the year 10000, elsewhere": time.Date(10000, time.January, 1, 0, 0, 0, 0, time.FixedZone("", 60*60)),
			"as late as can be":         time.Unix(math.MaxInt64-62135596801, 0),
			"an overflow":               noon.Add(math.MaxInt64).Add(math.MaxInt64),
			"the year 0":                time.Date(0, time.March, 1, 0, 0, 0, 0, time.UTC),
			"before all years":          time.Date(-1, time.March, 1, 0, 0, 0, 0, time.UTC),
			"the first second":          time.Time{}.Add(time.Second),
			"within the first second":   time.Time{}.Add(time.Millisecond),
		} {
			r := twisted(sample(label), func(r *record.Record) { r.ExpiresAt = at })
			_, refused := s.Add(s.Context(), r)
			for way, got := range s.ways(r) {
				switch {
				case refused != nil:
					s.fails(label+" was refused, but "+way, got.err, record.ErrGone)
				case got.err != nil:
					s.Errorf("%s was taken, but %s: %v", label, way, got.err)
				case got.ExpiresAt.IsZero():
					s.Errorf("%s: %s says that it never expires", label, way)
				case got.ExpiresAt.After(at) || at.Sub(got.ExpiresAt) >= time.Second:
					s.Errorf("%s: %s says that it expires at %v instead of %v", label, way, got.ExpiresAt, at)
				}
			}
		}
	},
	"a second record of one name is ErrExists": func(s trial) {
		want := sample("a")
		s.added(want)
		for what, again := range map[string]record.Record{
			"the same":              want,
			"another of its digest": full("a"),
		} {
			_, err := s.Add(s.Context(), again)
			s.fails(what, err, record.ErrExists)
		}
		s.holds(want)
	},
	"two credentials that share the first half of the digest are told apart": func(s trial) {
		want := sample("a")
		s.added(want)
		other := twisted(full("a"), func(r *record.Record) { r.Digest = twin(r.Digest) })
		_, err := s.Add(s.Context(), other)
		s.fails("Add of the other", err, record.ErrExists)
		got, err := s.Find(s.Context(), other.Digest)
		s.fails("Find of the other", err, record.ErrAmbiguous)
		s.equal("Find of the other, beside its error,", got, record.Record{})
		s.holds(want)
	},
	"what was never added is ErrGone": func(s trial) {
		s.added(sample("a"))
		s.lacks(sample("b"))
	},
	"nothing is added once the context is over": func(s trial) {
		over, cancel := context.WithCancel(s.Context())
		cancel()
		if _, err := s.Add(over, sample("a")); err == nil {
			s.Error("no error")
		}
		s.lacks(sample("a"))
	},
	"one store knows nothing of another": func(s trial) {
		other := trial{s.T, s.open(s.T), s.open}
		here, there := sample("a"), full("a")
		s.added(here)
		other.lacks(here)
		other.added(there)
		s.holds(here)
		other.holds(there)
		s.lists(indexer, here)
		other.lists(indexer, there)
	},
}
