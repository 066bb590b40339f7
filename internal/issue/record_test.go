package issue

import (
	"crypto/rand"
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

func TestSetRights_ReportsEachChange(t *testing.T) {
	for field, change := range map[string]func(*plan.Grants){
		"suspended":     func(g *plan.Grants) { g.Suspended = true },
		"roles":         func(g *plan.Grants) { g.Roles = nil },
		"permissions":   func(g *plan.Grants) { g.Permissions = nil },
		"source ranges": func(g *plan.Grants) { g.SourceRanges = nil },
	} {
		var r record.Record
		SetGrants(&r, desired())
		if SetRights(&r, desired().Grants) || SetRights(&r, nil) {
			t.Error("the same rights, or unknown ones, count as a change")
		}
		g := desired().Grants
		change(g)
		if !SetRights(&r, g) || SetRights(&r, g) {
			t.Errorf("%s: the change is not reported once", field)
		}
	}
}

// A token that moves to another client counts against the quota of that client, which the
// reconciler decides. A change over HTTP moves nothing.
func TestSetRights_MovesNothing(t *testing.T) {
	var r record.Record
	SetGrants(&r, desired())
	moved := desired()
	moved.Grants.Client, moved.Grants.User = "globex", "alice"
	if SetRights(&r, moved.Grants); r.Client != "acme" || r.User != "" || r.Kind != token.Application {
		t.Errorf("the record is of client %q and user %q", r.Client, r.User)
	}
	moved.Grants = nil
	if SetGrants(&r, moved); r.Client != "acme" {
		t.Error("unknown grants change the record")
	}
}
