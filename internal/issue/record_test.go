package issue

import (
	"crypto/rand"
	"reflect"
	"testing"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func desired() tokenspec.Desired {
	return tokenspec.Desired{Kind: token.Application, Desired: plan.Desired{Grants: &plan.Grants{
		Client: "acme", Roles: []string{"primary"}, Permissions: []string{"search.query"}, SourceRanges: []string{"10.0.0.0/8"},
	}}}
}

func mint(t *testing.T) token.Token {
	t.Helper()
	tok, err := token.Mint(token.Application, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestNewRecord_TakesOverFromVersionOfPlan(t *testing.T) {
	before := plan.Version{Record: "at-1", Number: 3, Predecessor: "at-0", IssuedAt: noon.Add(-time.Hour), AuthorizedAt: noon.Add(-2 * time.Hour)}
	p := plan.Plan{Do: plan.Issue, Version: before, ExpiresAt: noon.Add(time.Hour), UserUID: "u"}
	tok := mint(t)
	r := NewRecord(noon, &v1alpha1.ApplicationToken{}, desired(), p, tok)
	if r.Version != 4 || r.Predecessor != "at-1" || !r.IssuedAt.Equal(noon) || !r.ExpiresAt.Equal(p.ExpiresAt) || r.UserUID != "u" || !r.Digest.Matches(tok) {
		t.Errorf("the successor is %+v", r)
	}
	p.Do = plan.Replace
	if r = NewRecord(noon, &v1alpha1.ApplicationToken{}, desired(), p, tok); r.Version != 3 || r.Predecessor != "at-0" || !r.IssuedAt.Equal(before.IssuedAt) || !r.AuthorizedAt.Equal(before.AuthorizedAt) {
		t.Errorf("the replacement is %+v", r)
	}
}

// A version of a suspended token is rejected from the start.
func TestNewRecord_OfSuspendedTokenIsSuspended(t *testing.T) {
	d := desired()
	d.Grants.Suspended = true
	if !NewRecord(noon, &v1alpha1.ApplicationToken{}, d, plan.Plan{}, mint(t)).Suspended {
		t.Error("the record is not suspended")
	}
}

func TestSetGrants_ReportsEachChange(t *testing.T) {
	for field, change := range map[string]func(*tokenspec.Desired){
		"kind": func(d *tokenspec.Desired) { d.Kind = token.UserApplication }, "client": func(d *tokenspec.Desired) { d.Grants.Client = "x" },
		"user": func(d *tokenspec.Desired) { d.Grants.User = "x" }, "suspended": func(d *tokenspec.Desired) { d.Grants.Suspended = true },
		"roles": func(d *tokenspec.Desired) { d.Grants.Roles = nil }, "permissions": func(d *tokenspec.Desired) { d.Grants.Permissions = nil },
		"source ranges": func(d *tokenspec.Desired) { d.Grants.SourceRanges = nil },
	} {
		var r record.Record
		SetGrants(&r, desired())
		if SetGrants(&r, desired()) {
			t.Error("the same grants count as a change")
		}
		d := desired()
		change(&d)
		if !SetGrants(&r, d) || SetGrants(&r, d) {
			t.Errorf("%s: the change is not reported once", field)
		}
		if d.Grants = nil; SetGrants(&r, d) {
			t.Errorf("%s: unknown grants change the record", field)
		}
	}
}

// A field that is compared nowhere would let a stored record pass for one that differs. Fields that
// the API server or a use sets, and those of logins, are not of the version itself.
func TestIsInterchangeable_ComparesEveryFieldOfVersion(t *testing.T) {
	ignored := map[string]bool{
		"Digest": true, "Hint": true, // both follow from the plaintext, which is the same
		"SupersededAt": true, "LastUsedAt": true, "LastUsedFrom": true, "CreatedAt": true, "Revision": true, "UID": true,
		"Refresh": true, "Session": true, "IdleTimeout": true, "Credential": true, "AuthenticatedAt": true, "SessionEndsAt": true,
	}
	fields := reflect.TypeFor[record.Record]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		if ignored[name] {
			continue
		}
		var changed record.Record
		switch v := reflect.ValueOf(&changed).Elem().Field(i); v.Interface().(type) {
		case string:
			v.SetString("x")
		case []string:
			v.Set(reflect.ValueOf([]string{"x"}))
		case bool:
			v.SetBool(true)
		case time.Time:
			v.Set(reflect.ValueOf(noon))
		case record.Owner:
			v.Set(reflect.ValueOf(record.Owner{UID: "x"}))
		default:
			v.Set(reflect.ValueOf(1).Convert(v.Type()))
		}
		if isInterchangeable(record.Record{}, changed) {
			t.Errorf("records that differ in %s count as interchangeable", name)
		}
	}
}
