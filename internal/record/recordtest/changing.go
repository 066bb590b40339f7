package recordtest

import (
	"time"

	"github.com/apptoken/operator/internal/record"
)

var changeTests = map[string]func(s storeTest){
	"a change is there at once, and changes nothing else": func(s storeTest) {
		now := s.mustAdd(fullSample("a"))
		for _, c := range []struct {
			what  string
			twist func(*record.Record)
		}{
			{"it is active again", func(r *record.Record) { r.Suspended = false }},
			{"it is suspended", func(r *record.Record) { r.Suspended = true }},
			{"it has a role less", func(r *record.Record) { r.Roles = []string{"primary"} }},
			{"it has no role", func(r *record.Record) { r.Roles = nil }},
			{"it has roles again", func(r *record.Record) { r.Roles = []string{"client~primary", "developer"} }},
			{"it has other permissions", func(r *record.Record) { r.Permissions = []string{"search.query"} }},
			{"it has no permissions", func(r *record.Record) { r.Permissions = nil }},
			{"it is good from one range", func(r *record.Record) { r.SourceRanges = []string{"192.0.2.0/24"} }},
			{"it is good from everywhere", func(r *record.Record) { r.SourceRanges = nil }},
			{"it ends sooner", func(r *record.Record) { r.ExpiresAt = noon.Add(time.Minute) }},
			{"it does not expire", func(r *record.Record) { r.ExpiresAt = time.Time{} }},
			{"it expires", func(r *record.Record) { r.ExpiresAt = noon.Add(time.Hour) }},
			{"it is not superseded", func(r *record.Record) { r.SupersededAt = time.Time{} }},
			{"it is superseded", func(r *record.Record) { r.SupersededAt = noon.Add(time.Second) }},
			{"its owner was restored", func(r *record.Record) { r.Owner.UID = "0d6c1a52-2" }},
			{"it is of another client", func(r *record.Record) { r.Client = "globex" }},
			{"it is of another version", func(r *record.Record) { r.Version = 7 }},
			{"it was triggered otherwise", func(r *record.Record) { r.Trigger = "" }},
			{"another request asked for it", func(r *record.Record) { r.Request = "" }},
			{"no holder asked for it", func(r *record.Record) { r.AuthorizedAt = time.Time{} }},
			{"nothing", func(*record.Record) {}},
			{"all at once", func(r *record.Record) {
				r.Suspended, r.Roles, r.Permissions, r.ExpiresAt = false, nil, []string{"*"}, noon.Add(2*time.Hour)
			}},
		} {
			want := modified(now, c.twist)
			now = s.must(s.Change(s.Context(), now, want))
			s.wantEqual(c.what+": Change", now, want)
			s.wantStored(want)
			if s.Failed() {
				s.Fatalf("…when %s", c.what)
			}
		}
	},
	"a change does not make a record younger": func(s storeTest) {
		added := s.mustAdd(sample("a"))
		if got := s.mustChange(added, func(r *record.Record) { r.Version++ }).CreatedAt; !got.Equal(added.CreatedAt) {
			s.Errorf("created at %v, and at %v after a change", added.CreatedAt, got)
		}
	},
	"whatever is read can be changed": func(s storeTest) {
		want := sample("a")
		s.mustAdd(want)
		s.waitForList(sampleOwner, want)
		listed, err := s.ListByOwner(s.Context(), sampleOwner)
		if err != nil || len(listed) != 1 {
			s.Fatalf("listed %v, %v", listed, err)
		}
		s.mustChange(listed[0], func(r *record.Record) { r.Version = 2 })
		for _, read := range []func() (record.Record, error){
			func() (record.Record, error) { return s.Get(s.Context(), want.Name()) },
			func() (record.Record, error) { return s.Confirm(s.Context(), want.Name()) },
			func() (record.Record, error) { return s.Find(s.Context(), want.Digest) },
		} {
			s.mustChange(s.must(read()), func(r *record.Record) { r.Version++ })
		}
		s.wantStored(modified(want, func(r *record.Record) { r.Version = 5 }))
	},
	"a change of what has changed meanwhile is ErrStale": func(s storeTest) {
		first := s.mustAdd(sample("a"))
		second := s.mustChange(first, func(r *record.Record) { r.Suspended = true })
		for what, twist := range map[string]func(*record.Record){
			"of something else": func(r *record.Record) { r.Version = 2 },
			"of the same thing": func(r *record.Record) { r.Suspended = true },
			"back":              func(r *record.Record) { r.Suspended = false },
		} {
			_, err := s.Change(s.Context(), first, modified(first, twist))
			s.wantError(what, err, record.ErrStale)
		}
		s.wantStored(second)
		s.wantStored(s.mustChange(second, func(r *record.Record) { r.Version = 2 }))
	},
	"what was read before it was changed and changed back is stale all the same": func(s storeTest) {
		first := s.mustAdd(sample("a"))
		there := s.mustChange(first, func(r *record.Record) { r.Suspended = true })
		s.mustChange(there, func(r *record.Record) { r.Suspended = false })
		_, err := s.Change(s.Context(), first, modified(first, func(r *record.Record) { r.Version = 2 }))
		s.wantError("Change", err, record.ErrStale)
		s.wantStored(first)
	},
	"a renewed record is as if it were added now, but for when it came": func(s storeTest) {
		added, want := s.mustAdd(fullSample("a")), sample("a")
		renewed := s.must(s.Renew(s.Context(), added, want))
		s.wantEqual("Renew", renewed, want)
		s.wantStored(want)
		if !renewed.CreatedAt.Equal(added.CreatedAt) {
			s.Errorf("created at %v, and at %v once it was renewed", added.CreatedAt, renewed.CreatedAt)
		}
		_, err := s.Renew(s.Context(), added, fullSample("a"))
		s.wantError("Renew of what has changed meanwhile", err, record.ErrStale)
		if _, err := s.Renew(s.Context(), renewed, sample("b")); err == nil {
			s.Error("Renew as another credential: no error")
		}
		s.wantStored(want)
		s.wantAbsent(sample("b"))
		s.wantNoError("Retire", s.Retire(s.Context(), renewed))
		_, err = s.Renew(s.Context(), renewed, want)
		s.wantError("Renew of what is gone", err, record.ErrGone)
		s.wantAbsent(want)
	},
	"the digest stays": func(s storeTest) {
		a, b := s.mustAdd(sample("a")), s.mustAdd(sample("b"))
		for what, after := range map[string]record.Record{
			"the second half": modified(a, func(r *record.Record) { r.Digest = twinDigest(r.Digest); r.Version = 2 }),
			"to one unknown":  modified(a, func(r *record.Record) { r.Digest = sample("c").Digest; r.Version = 2 }),
			"to another's":    modified(a, func(r *record.Record) { r.Digest = b.Digest; r.Version = 2 }),
			"into another":    modified(b, func(r *record.Record) { r.Version = 2 }),
		} {
			if _, err := s.Change(s.Context(), a, after); err == nil {
				s.Errorf("%s: no error", what)
			}
		}
		s.wantStored(sample("a"))
		s.wantStored(sample("b"))
		s.wantAbsent(sample("c"))
	},
	"a change of what was never added adds nothing": func(s storeTest) {
		for what, r := range map[string]record.Record{
			"of what no store has seen":   sample("a"),
			"of what another store added": storeTest{s.T, s.openStore(s.T), s.openStore}.mustAdd(sample("a")),
		} {
			if _, err := s.Change(s.Context(), r, modified(r, func(r *record.Record) { r.Version = 2 })); err == nil {
				s.Errorf("%s: no error", what)
			}
			s.wantAbsent(r)
		}
	},
}
