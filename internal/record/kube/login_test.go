package kube_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
)

// loginSubtests are subtests about the records of logins.
var loginSubtests = map[string]func(s storeFixture){
	"of many who claim a record one succeeds": func(s storeFixture) {
		now, err := s.Confirm(s.Context(), s.first.Name())
		must(s.T, err)
		const many = 8
		errs := make([]error, many)
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() { errs[i] = s.Claim(s.Context(), now) })
		}
		all.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, record.ErrGone) {
				s.Errorf("the caller that lost gets %v", err)
			}
		}
		if won != 1 {
			s.Errorf("%d of %d have claimed it", won, many)
		}
	},
	"what something holds back is claimed once all the same": func(s storeFixture) {
		s.patch(`{"metadata": {"finalizers": ["example.com/archive"]}}`)
		now, err := s.Confirm(s.Context(), s.first.Name())
		must(s.T, err)
		must(s.T, s.Claim(s.Context(), now))
		if err := s.Claim(s.Context(), now); !errors.Is(err, record.ErrStale) {
			s.Errorf("the second gets %v", err)
		}
		s.patch(`{"metadata": {"finalizers": null}}`)
	},
	"a record that has changed is not claimed on what it was": func(s storeFixture) {
		before, err := s.Confirm(s.Context(), s.first.Name())
		must(s.T, err)
		s.patch(`{"status": {"lastUsedAt": "2026-03-01T12:30:00Z"}}`, "status")
		if err := s.Claim(s.Context(), before); !errors.Is(err, record.ErrStale) {
			s.Errorf("it gets %v", err)
		}
	},
	"the logins of a user are listed by kind, and none where they are few": func(s storeFixture) {
		alice := record.Owner{Kind: "User", Name: "alice", UID: "one"}
		add := func(label string, kind token.Kind, owner record.Owner, client string) record.Record {
			r := sample(label)
			r.Kind, r.Owner, r.Client, r.User = kind, owner, client, owner.Name
			r, err := s.Add(s.Context(), r)
			must(s.T, err)
			return r
		}
		sessions := []string{add("one", token.Session, alice, "acme").Name(), add("two", token.Session, alice, "acme").Name(), add("three", token.Session, alice, "globex").Name()}
		open := add("four", token.Open, alice, "acme").Name()
		add("five", token.Session, record.Owner{Kind: "User", Name: "bob", UID: "two"}, "acme")
		slices.Sort(sessions)
		everything := slices.Sorted(slices.Values(append([]string{open}, sessions...)))
		for what, x := range map[string]struct {
			q    record.LoginQuery
			want []string
		}{
			"one kind":                   {record.LoginQuery{User: alice, Kind: token.Session}, sessions},
			"every kind":                 {record.LoginQuery{User: alice}, everything},
			"as many at the client":      {record.LoginQuery{User: alice, Kind: token.Session, Client: "acme", Fewest: 2}, sessions},
			"fewer at the client":        {record.LoginQuery{User: alice, Kind: token.Session, Client: "acme", Fewest: 3}, nil},
			"a kind that the user lacks": {record.LoginQuery{User: alice, Kind: token.Login}, nil},
			"an unknown user":            {record.LoginQuery{User: record.Owner{Kind: "User", Name: "carol"}}, nil},
		} {
			var got []string
			await(s.T, what, func() bool {
				rs, err := s.ListLogins(s.Context(), x.q)
				must(s.T, err)
				got = nil
				for _, r := range rs {
					got = append(got, r.Name())
				}
				slices.Sort(got)
				return slices.Equal(got, x.want)
			})
		}
	},
	"the records of a session are found by its family, and no others": func(s storeFixture) {
		add := func(label, family string) record.Record {
			r := sample(label)
			r.Refresh = &record.Refresh{Digest: sha256.Sum256([]byte(label + " refresh")), Family: sha256.Sum256([]byte(family)), ExpiresAt: noon.Add(time.Hour)}
			r, err := s.Add(s.Context(), r)
			must(s.T, err)
			return r
		}
		want := []string{add("one", "own").Name(), add("two", "own").Name()}
		add("other", "foreign")
		slices.Sort(want)
		for _, sure := range []bool{true, false} {
			var got []string
			await(s.T, "the session is listed", func() bool {
				rs, err := s.ListByFamily(s.Context(), sha256.Sum256([]byte("own")), sure)
				must(s.T, err)
				got = nil
				for _, r := range rs {
					got = append(got, r.Name())
				}
				slices.Sort(got)
				return len(got) == 2
			})
			if !slices.Equal(got, want) {
				s.Errorf("sure %v: %v, want %v", sure, got, want)
			}
		}
	},
	"to be sure of the records of an owner, those that are named are read from the store": func(s storeFixture) {
		rs, err := s.ConfirmByOwner(s.Context(), s.first.Owner, s.first.Name())
		must(s.T, err)
		if len(rs) != 1 || rs[0].Name() != s.first.Name() {
			s.Errorf("%d records", len(rs))
		}
		other := s.first.Owner
		other.Kind = "User"
		if rs, err := s.ConfirmByOwner(s.Context(), other, s.first.Name()); err != nil || len(rs) != 0 {
			s.Errorf("of a namesake of another kind: %d records, %v", len(rs), err)
		}
	},
}

func TestFromObject_RejectsInvalidLogins(t *testing.T) {
	const marked = "ats_marked0secret"
	for what, twist := range map[string]func(*v1alpha1.TokenRecordSpec){
		"a session id in place of its digest": func(s *v1alpha1.TokenRecordSpec) { s.Session = marked },
		"an idle time-out that is none":       func(s *v1alpha1.TokenRecordSpec) { s.IdleTimeout = "soon" },
		"an idle time-out of nothing":         func(s *v1alpha1.TokenRecordSpec) { s.IdleTimeout = "0s" },
		"one that is negative":                func(s *v1alpha1.TokenRecordSpec) { s.IdleTimeout = "-1h" },
		"a refresh token in place of its digest": func(s *v1alpha1.TokenRecordSpec) {
			s.Refresh = &v1alpha1.RefreshRecord{Digest: marked}
		},
		"one that was used up, in place of its digest": func(s *v1alpha1.TokenRecordSpec) {
			s.Refresh = &v1alpha1.RefreshRecord{Digest: s.Digest, Recent: []v1alpha1.RecentRefresh{{Digest: marked}}}
		},
		"a family that is none": func(s *v1alpha1.TokenRecordSpec) {
			s.Refresh = &v1alpha1.RefreshRecord{Digest: s.Digest, Family: marked}
		},
	} {
		obj := object("a", func(obj *v1alpha1.TokenRecord) { obj.Spec.Kind = v1alpha1.RecordKindLogin; twist(&obj.Spec) })
		if r, err := kube.FromObject(obj); err == nil || strings.Contains(err.Error(), "marked") {
			t.Errorf("%s: %v, %v", what, r.Name(), err)
		}
	}
}

func TestFromObject_UserMakesUserApplication(t *testing.T) {
	obj := object("a", func(obj *v1alpha1.TokenRecord) {
		obj.Spec.Kind, obj.Spec.User = v1alpha1.RecordKindApplication, "alice"
	})
	if r, err := kube.FromObject(obj); err != nil || r.Kind != token.UserApplication {
		t.Errorf("%s, %v", r.Kind, err)
	}
}

func TestRecord_IsOverOnceNothingIsValid(t *testing.T) {
	refresh := &record.Refresh{ExpiresAt: noon.Add(2 * time.Hour)}
	for what, c := range map[string]struct {
		record record.Record
		at     time.Time
		over   bool
	}{
		"without an end":                          {record.Record{IssuedAt: noon}, noon.Add(1e6 * time.Hour), false},
		"a second before its end":                 {record.Record{ExpiresAt: noon}, noon.Add(-time.Second), false},
		"at its end":                              {record.Record{ExpiresAt: noon}, noon, true},
		"at its end, and it can be refreshed":     {record.Record{ExpiresAt: noon, Refresh: refresh}, noon, false},
		"when it cannot be refreshed any more":    {record.Record{ExpiresAt: noon, Refresh: refresh}, noon.Add(2 * time.Hour), true},
		"a second before it has lain idle":        {record.Record{IssuedAt: noon, IdleTimeout: time.Minute}, noon.Add(59 * time.Second), false},
		"when it has lain idle since its issue":   {record.Record{IssuedAt: noon, IdleTimeout: time.Minute}, noon.Add(time.Minute), true},
		"used in between":                         {record.Record{IssuedAt: noon, LastUsedAt: noon.Add(time.Second), IdleTimeout: time.Minute}, noon.Add(time.Minute), false},
		"when it has lain idle since it was used": {record.Record{IssuedAt: noon, LastUsedAt: noon.Add(time.Second), IdleTimeout: time.Minute}, noon.Add(61 * time.Second), true},
	} {
		if got := c.record.IsOver(c.at); got != c.over {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// A login lives from its creation, as the API server dates it, if the clock of the issuing replica
// was ahead.
func TestFromObject_LoginIssuedAheadLivesNoLonger(t *testing.T) {
	const ahead = 3 * time.Hour
	issue := func(created, issued, authenticated time.Time) record.Record {
		t.Helper()
		r, err := kube.FromObject(object("a", func(obj *v1alpha1.TokenRecord) {
			obj.CreationTimestamp = metav1.NewTime(created)
			later := func(d time.Duration) *metav1.Time { return new(metav1.NewTime(issued.Add(d))) }
			s := &obj.Spec
			s.Kind, s.IssuedAt, s.ExpiresAt = v1alpha1.RecordKindLogin, metav1.NewTime(issued), later(time.Hour)
			s.AuthenticatedAt = new(metav1.NewTime(authenticated))
			s.SessionEndsAt = new(metav1.NewTime(authenticated.Add(12 * time.Hour)))
			s.Refresh = &v1alpha1.RefreshRecord{
				Digest: s.Digest, PreviousUntil: later(30 * time.Second), ExpiresAt: later(8 * time.Hour),
				Recent: []v1alpha1.RecentRefresh{{Digest: s.Digest, Until: *later(20 * time.Second)}},
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	right := issue(noon, noon, noon)
	for what, c := range map[string]struct{ created, issued, authenticated time.Time }{
		"hours ahead": {noon, noon.Add(ahead), noon.Add(ahead)},
		"just ahead":  {noon, noon.Add(time.Minute + time.Second), noon.Add(time.Minute + time.Second)},
	} {
		got := issue(c.created, c.issued, c.authenticated)
		if !got.IssuedAt.Equal(right.IssuedAt) || !got.ExpiresAt.Equal(right.ExpiresAt) || !got.AuthenticatedAt.Equal(right.AuthenticatedAt) ||
			!got.SessionEndsAt.Equal(right.SessionEndsAt) || !got.Refresh.ExpiresAt.Equal(right.Refresh.ExpiresAt) ||
			!got.Refresh.PreviousUntil.Equal(right.Refresh.PreviousUntil) || !got.Refresh.Recent[0].Until.Equal(right.Refresh.Recent[0].Until) {
			t.Errorf("%s: %+v", what, got)
		}
	}
	authenticated := noon.Add(-time.Hour)
	if got := issue(noon, noon.Add(ahead), authenticated); !got.AuthenticatedAt.Equal(authenticated) || !got.SessionEndsAt.Equal(authenticated.Add(12*time.Hour)) ||
		!got.ExpiresAt.Equal(right.ExpiresAt) {
		t.Errorf("a session that another replica began is of %s, ends at %s, its login at %s", got.AuthenticatedAt, got.SessionEndsAt, got.ExpiresAt)
	}
	for what, created := range map[string]time.Time{
		"a minute ahead, as clocks go": noon.Add(-time.Minute), "restored from a backup": noon.Add(24 * time.Hour), "behind": noon.Add(time.Hour),
	} {
		if got := issue(created, noon, noon); !got.IssuedAt.Equal(noon) || !got.ExpiresAt.Equal(right.ExpiresAt) || !got.SessionEndsAt.Equal(right.SessionEndsAt) {
			t.Errorf("%s: of %s, ends at %s", what, got.IssuedAt, got.ExpiresAt)
		}
	}
}
