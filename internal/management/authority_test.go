package management_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// developerCaller returns a caller that holds the role second and nothing else.
func developerCaller(change ...func(*management.Caller)) management.Caller {
	by := management.Caller{ID: "at-developer", Subject: "own/developer", Authority: grant.Authority{Roles: []string{"second"}}}
	for _, c := range change {
		c(&by)
	}
	return by
}

// deniedField returns the field for which a caller was denied; "-" if it was not denied.
func deniedField(err error) string {
	if denied, ok := errors.AsType[*management.Denied](err); ok && denied.Permission == management.PermissionEscalate {
		return denied.Field
	}
	return "-"
}

func TestManage_CallerNeverExceedsItsAuthority(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	w.Must(w.DeclareToken())
	_, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Name = "strong" }))
	w.Must(err)
	_, err = k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Name, d.Roles = "weak", []string{"second"} }))
	w.Must(err)
	ranged := developerCaller(func(c *management.Caller) { c.Authority.Ranges = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	ending := developerCaller(func(c *management.Caller) { c.Authority.End = w.Now.Add(time.Hour) })
	create := func(by management.Caller, change func(*management.TokenSpec)) func() error {
		return func() error {
			_, err := k.Create(w.Ctx, by, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Name, d.Roles = "new", []string{"second"} }, change))
			return err
		}
	}
	change := func(by management.Caller, name string, c management.Change) func() error {
		return func() error { _, err := k.Change(w.Ctx, by, w.Scope(), name, c); return err }
	}
	before := w.ResourceVersions()
	for name, x := range map[string]struct {
		do    func() error
		field string
	}{
		"a role":                           {create(developerCaller(), func(d *management.TokenSpec) { d.Roles = []string{"primary"} }), "roles"},
		"a permission":                     {create(developerCaller(), func(d *management.TokenSpec) { d.Permissions = []string{"search.query"} }), "permissions"},
		"other addresses":                  {create(ranged, func(d *management.TokenSpec) { d.SourceRanges = []string{"192.0.2.0/24"} }), "sourceRanges"},
		"all addresses":                    {create(ranged, func(*management.TokenSpec) {}), "sourceRanges"},
		"no end":                           {create(ending, func(d *management.TokenSpec) { d.Lifetime = 0 }), "lifetime"},
		"a later end":                      {create(ending, func(d *management.TokenSpec) { d.Lifetime = time.Hour + time.Second }), "lifetime"},
		"a role, by a change":              {change(developerCaller(), "weak", management.Change{Roles: new([]string{"primary", "second"})}), "roles"},
		"a permission, by a change":        {change(developerCaller(), "weak", management.Change{Permissions: new([]string{"search.query"})}), "permissions"},
		"its own role to a stronger token": {change(developerCaller(), "strong", management.Change{Roles: new([]string{"primary", "second"})}), "roles"},
		"a clone of a stronger token":      {func() error { _, err := k.Clone(w.Ctx, developerCaller(), w.Scope(), "strong", "copy", ""); return err }, "roles"},
		"a clone of a declared token": {func() error {
			_, err := k.Clone(w.Ctx, developerCaller(), w.Scope(), w.Namespace+":indexer", "copy", "key")
			return err
		}, "roles"},
		"a rotation of a stronger token": {func() error { _, err := k.Rotate(w.Ctx, developerCaller(), w.Scope(), "strong", ""); return err }, "roles"},
		"a keyed rotation":               {func() error { _, err := k.Rotate(w.Ctx, developerCaller(), w.Scope(), "strong", "key"); return err }, "roles"},
		"nothing that is held": {func() error {
			_, err := k.Rotate(w.Ctx, management.Caller{}, w.Scope(), "weak", "")
			return err
		}, "roles"},
	} {
		if err := x.do(); deniedField(err) != x.field {
			t.Errorf("%s: %v, want a denial for %s", name, err, x.field)
		}
	}
	if w.ResourceVersions() != before {
		t.Error("something was written")
	}
	for name, do := range map[string]func() error{
		"what it holds":        create(developerCaller(), func(*management.TokenSpec) {}),
		"within its addresses": create(ranged, func(d *management.TokenSpec) { d.Name, d.SourceRanges = "ranged", []string{"10.1.0.0/16"} }),
		"until its end":        create(ending, func(d *management.TokenSpec) { d.Name, d.Lifetime = "ending", time.Hour }),
		"a clone":              func() error { _, err := k.Clone(w.Ctx, developerCaller(), w.Scope(), "weak", "twin", ""); return err },
		"a rotation":           func() error { _, err := k.Rotate(w.Ctx, developerCaller(), w.Scope(), "weak", ""); return err },
		"a rotation into a Secret": func() error {
			_, err := k.Rotate(w.Ctx, developerCaller(), w.Scope(), w.Namespace+":indexer", "")
			return err
		},
		"more, where it escalates": create(developerCaller(func(c *management.Caller) { c.CanEscalate = true }), func(d *management.TokenSpec) { d.Name, d.Roles = "more", []string{"primary"} }),
	} {
		if err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.Now = w.Now.Add(time.Minute) // the expiry of a version does not move
	for _, state := range []string{"Suspended", "Active"} {
		if err := change(ending, "ending", management.Change{State: &state})(); err != nil {
			t.Errorf("%s again, within its end: %v", state, err)
		}
	}
}

func TestChange_LoweringNeedsNoAuthority(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) {
		d.Roles, d.Permissions, d.SourceRanges = []string{"primary", "second"}, []string{"search.*"}, []string{"10.0.0.0/8"}
	}))
	w.Must(err)
	powerless := management.Caller{ID: "powerless"}
	for _, c := range []management.Change{
		{Permissions: new([]string{"search.query"})}, {Roles: new([]string{"primary"})}, {SourceRanges: new([]string{"10.1.0.0/16"})},
		{State: new("Suspended")}, {State: new("Suspended"), Roles: new([]string{})},
	} {
		if _, err := k.Change(w.Ctx, powerless, w.Scope(), "CI_deploy", c); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []management.Change{
		{State: new("Active")}, {SourceRanges: new([]string{"10.0.0.0/8"})}, {SourceRanges: new([]string{})}, {Roles: new([]string{"primary"})},
		{Permissions: new([]string{"search.query", "search.suggest"})}, {State: new("Active"), Roles: new([]string{}), SourceRanges: new([]string{"10.1.1.0/24"})},
	} {
		if _, err := k.Change(w.Ctx, powerless, w.Scope(), "CI_deploy", c); deniedField(err) == "-" {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if w.IsAccepted(made.Secret) {
		t.Error("it is good again")
	}
}

// A crash left an object without a version. Its grants can be lowered, and nothing can be raised.
func TestChange_PermittedWithoutVersion(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	at := w.ManagedObject(made.Token)
	delete(at.Annotations, v1alpha1.AnnotationRecord)
	w.Must(api.Update(w.Ctx, at))
	powerless := management.Caller{ID: "powerless"}
	if _, err := k.Change(w.Ctx, powerless, w.Scope(), "CI_deploy", management.Change{Roles: new([]string{"primary", "second"})}); deniedField(err) != "roles" {
		t.Errorf("to raise it: %v", err)
	}
	if _, err := k.Change(w.Ctx, powerless, w.Scope(), "CI_deploy", management.Change{State: new("Suspended")}); err != nil {
		t.Errorf("to lower it: %v", err)
	}
}

// A token is delivered by what it may do when its response is decided, not by what it could do when
// the request came.
func TestManage_GrantsRaisedMeanwhileAreNotDelivered(t *testing.T) {
	for name, ask := range map[string]func(*fixture, *operatortest.ManagementReplica) (management.Issued, error){
		"a rotation": func(w *fixture, k *operatortest.ManagementReplica) (management.Issued, error) {
			return k.Rotate(w.Ctx, developerCaller(), w.Scope(), "CI_deploy", "")
		},
		"a creation": func(w *fixture, k *operatortest.ManagementReplica) (management.Issued, error) {
			return k.Create(w.Ctx, developerCaller(), w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Roles = []string{"second"} }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newFixture(t)
				sound, first := w.NewManagementReplica(api), ""
				if name == "a rotation" {
					made, err := sound.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Roles = []string{"second"} }))
					w.Must(err)
					first = made.Token.ID
				}
				hit = false
				raised := false
				f := w.Faults(0, operatortest.FaultMode{})
				f.Before = func(call int) {
					if call != at {
						return
					}
					hit = true
					shown, err := sound.Get(w.Ctx, w.Scope(), "CI_deploy")
					if err != nil || w.ManagedObject(shown).Annotations[v1alpha1.AnnotationRecord] != first {
						return // it does not exist yet, or the response is decided
					}
					_, err = sound.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{Roles: new([]string{"primary", "second"})})
					w.Must(err)
					raised = true
				}
				issued, err := ask(w, w.NewManagementReplica(f.Wrap(api)))
				if raised && deniedField(err) != "roles" || !raised && err != nil {
					t.Errorf("raised %t at call %d: %+v %v", raised, at, issued.Token, err)
				}
			}
		})
	}
}
