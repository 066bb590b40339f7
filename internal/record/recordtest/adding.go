package recordtest

import (
	"context"
	"math"
	"reflect"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

var addTests = map[string]func(s storeTest){
	"what is added is found by its digest and by its name": func(s storeTest) {
		want := sample("a")
		s.wantEqual("Add", s.mustAdd(want), want)
		s.wantStored(want)
	},
	"what is added says when it came": func(s storeTest) {
		added := s.mustAdd(sample("a"))
		if got := s.must(s.Confirm(s.Context(), added.Name())); added.CreatedAt.IsZero() || !got.CreatedAt.Equal(added.CreatedAt) {
			s.Errorf("created at %v when it was added, at %v when it was read", added.CreatedAt, got.CreatedAt)
		}
	},
	"every field comes back": func(s storeTest) {
		want := fullSample("a")
		for _, f := range storedFields() {
			if reflect.ValueOf(want).FieldByIndex(f.Index).IsZero() {
				s.Fatalf("the sample says nothing of %s, which is a field that a store keeps", f.Name)
			}
		}
		s.wantEqual("Add", s.mustAdd(want), want)
		s.wantStored(want)
	},
	"what is absent stays absent": func(s storeTest) {
		want := record.Record{Kind: token.Application, Digest: sample("a").Digest, Owner: sampleOwner, IssuedAt: noon}
		s.mustAdd(want)
		s.wantStored(want)
	},
	"an empty list is none": func(s storeTest) {
		want := sample("a")
		s.mustAdd(modified(want, func(r *record.Record) { r.Permissions, r.SourceRanges = []string{}, []string{} }))
		s.wantStored(want)
	},
	"what was never used says so": func(s storeTest) {
		added := s.mustAdd(modified(sample("a"), func(r *record.Record) { r.LastUsedAt, r.LastUsedFrom = noon, "10.0.0.1" }))
		if !added.LastUsedAt.IsZero() || added.LastUsedFrom != "" {
			s.Errorf("a new record was last used at %v from %q", added.LastUsedAt, added.LastUsedFrom)
		}
	},
	"times come back to the second, and never later": func(s storeTest) {
		want := fullSample("a")
		added := s.mustAdd(modified(want, func(r *record.Record) {
			r.IssuedAt = r.IssuedAt.Add(999_999_999)
			r.ExpiresAt = r.ExpiresAt.Add(500 * time.Millisecond)
			r.SupersededAt = r.SupersededAt.Add(1).In(time.FixedZone("", -7*60*60))
		}))
		s.wantEqual("Add", added, want)
		s.wantStored(want)
	},
	"an expiry is kept or refused, but never lost [row 17]": func(s storeTest) {
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
			r := modified(sample(label), func(r *record.Record) { r.ExpiresAt = at })
			_, refused := s.Add(s.Context(), r)
			for way, got := range s.readAll(r) {
				switch {
				case refused != nil:
					s.wantError(label+" was refused, but "+way, got.err, record.ErrGone)
				case got.err != nil:
					s.Errorf("%s was taken, but %s: %v", label, way, got.err)
				case got.ExpiresAt.IsZero():
					s.Errorf("%s: %s never expires", label, way)
				case got.ExpiresAt.After(at) || at.Sub(got.ExpiresAt) >= time.Second:
					s.Errorf("%s: %s expires at %v instead of %v", label, way, got.ExpiresAt, at)
				}
			}
		}
	},
	"a second record of one name is ErrExists": func(s storeTest) {
		want := sample("a")
		s.mustAdd(want)
		for what, again := range map[string]record.Record{
			"the same":              want,
			"another of its digest": fullSample("a"),
		} {
			_, err := s.Add(s.Context(), again)
			s.wantError(what, err, record.ErrExists)
		}
		s.wantStored(want)
	},
	"two credentials that share the first half of the digest are distinct": func(s storeTest) {
		want := sample("a")
		s.mustAdd(want)
		other := modified(fullSample("a"), func(r *record.Record) { r.Digest = twinDigest(r.Digest) })
		_, err := s.Add(s.Context(), other)
		s.wantError("Add of the other", err, record.ErrExists)
		got, err := s.Find(s.Context(), other.Digest)
		s.wantError("Find of the other", err, record.ErrAmbiguous)
		s.wantEqual("Find of the other, beside its error,", got, record.Record{})
		s.wantStored(want)
	},
	"what was never added is ErrGone": func(s storeTest) {
		s.mustAdd(sample("a"))
		s.wantAbsent(sample("b"))
	},
	"nothing is added once the context is over": func(s storeTest) {
		over, cancel := context.WithCancel(s.Context())
		cancel()
		if _, err := s.Add(over, sample("a")); err == nil {
			s.Error("no error")
		}
		s.wantAbsent(sample("a"))
	},
	"one store knows nothing of another": func(s storeTest) {
		other := storeTest{s.T, s.openStore(s.T), s.openStore}
		here, there := sample("a"), fullSample("a")
		s.mustAdd(here)
		other.wantAbsent(here)
		other.mustAdd(there)
		s.wantStored(here)
		other.wantStored(there)
		s.waitForList(sampleOwner, here)
		other.waitForList(sampleOwner, there)
	},
}
