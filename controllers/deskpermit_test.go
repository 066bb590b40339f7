package controllers_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/grant"
)

// developer returns a caller that holds the role second and nothing else.
func developer(change ...func(*desk.Caller)) desk.Caller {
	by := desk.Caller{ID: "at-developer", Subject: "own/developer", Holds: grant.Authority{Roles: []string{"second"}}}
	for _, c := range change {
		c(&by)
	}
	return by
}

// deniedFor returns the field for which a caller was denied; "-" if it was not denied.
func deniedFor(err error) string {
	if denied, ok := errors.AsType[*desk.Denied](err); ok && denied.Permission == desk.PermissionEscalate {
		return denied.Field
	}
	return "-"
}

func TestManage_CallerNeverGivesMoreThanItHoldsOfRealToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.counter(api)
	w.must(w.declare())
	_, err := k.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Name = "strong" }))
	w.must(err)
	_, err = k.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Name, d.Roles = "weak", []string{"second"} }))
	w.must(err)
	ranged := developer(func(c *desk.Caller) { c.Holds.Ranges = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	ending := developer(func(c *desk.Caller) { c.Holds.End = w.now.Add(time.Hour) })
	create := func(by desk.Caller, change func(*desk.Wanted)) func() error {
		return func() error {
			_, err := k.Create(w.ctx, by, w.scope(), ci(func(d *desk.Wanted) { d.Name, d.Roles = "new", []string{"second"} }, change))
			return err
		}
	}
	change := func(by desk.Caller, name string, c desk.Change) func() error {
		return func() error { _, err := k.Change(w.ctx, by, w.scope(), name, c); return err }
	}
	before := w.state()
	for name, x := range map[string]struct {
		do    func() error
		field string
	}{
		"a role":                           {create(developer(), func(d *desk.Wanted) { d.Roles = []string{"primary"} }), "roles"},
		"a permission":                     {create(developer(), func(d *desk.Wanted) { d.Permissions = []string{"search.query"} }), "permissions"},
		"other addresses":                  {create(ranged, func(d *desk.Wanted) { d.SourceRanges = []string{"192.0.2.0/24"} }), "sourceRanges"},
		"all addresses":                    {create(ranged, func(*desk.Wanted) {}), "sourceRanges"},
		"no end":                           {create(ending, func(d *desk.Wanted) { d.Lifetime = 0 }), "lifetime"},
		"a later end":                      {create(ending, func(d *desk.Wanted) { d.Lifetime = time.Hour + time.Second }), "lifetime"},
		"a role, by a change":              {change(developer(), "weak", desk.Change{Roles: new([]string{"primary", "second"})}), "roles"},
		"a permission, by a change":        {change(developer(), "weak", desk.Change{Permissions: new([]string{"search.query"})}), "permissions"},
		"its own role to a stronger token": {change(developer(), "strong", desk.Change{Roles: new([]string{"primary", "second"})}), "roles"},
		"a clone of a stronger token":      {func() error { _, err := k.Clone(w.ctx, developer(), w.scope(), "strong", "copy", ""); return err }, "roles"},
		"a clone of a declared token": {func() error {
			_, err := k.Clone(w.ctx, developer(), w.scope(), w.shop+":indexer", "copy", "key")
			return err
		}, "roles"},
		"a rotation of a stronger token": {func() error { _, err := k.Rotate(w.ctx, developer(), w.scope(), "strong", ""); return err }, "roles"},
		"a keyed rotation":               {func() error { _, err := k.Rotate(w.ctx, developer(), w.scope(), "strong", "key"); return err }, "roles"},
		"nothing that is held": {func() error {
			_, err := k.Rotate(w.ctx, desk.Caller{}, w.scope(), "weak", "")
			return err
		}, "roles"},
	} {
		if err := x.do(); deniedFor(err) != x.field {
			t.Errorf("%s: %v, want a denial for %s", name, err, x.field)
		}
	}
	if w.state() != before {
		t.Error("something was written")
	}
	for name, do := range map[string]func() error{
		"what it holds":            create(developer(), func(*desk.Wanted) {}),
		"within its addresses":     create(ranged, func(d *desk.Wanted) { d.Name, d.SourceRanges = "ranged", []string{"10.1.0.0/16"} }),
		"until its end":            create(ending, func(d *desk.Wanted) { d.Name, d.Lifetime = "ending", time.Hour }),
		"a clone":                  func() error { _, err := k.Clone(w.ctx, developer(), w.scope(), "weak", "twin", ""); return err },
		"a rotation":               func() error { _, err := k.Rotate(w.ctx, developer(), w.scope(), "weak", ""); return err },
		"a rotation into a Secret": func() error { _, err := k.Rotate(w.ctx, developer(), w.scope(), w.shop+":indexer", ""); return err },
		"more, where it escalates": create(developer(func(c *desk.Caller) { c.Escalates = true }), func(d *desk.Wanted) { d.Name, d.Roles = "more", []string{"primary"} }),
	} {
		if err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.now = w.now.Add(time.Minute) // the expiry of a version does not move
	for _, state := range []string{"Suspended", "Active"} {
		if err := change(ending, "ending", desk.Change{State: &state})(); err != nil {
			t.Errorf("%s again, within its end: %v", state, err)
		}
	}
}

func TestChange_LoweringNeedsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.counter(api)
	made, err := k.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) {
		d.Roles, d.Permissions, d.SourceRanges = []string{"primary", "second"}, []string{"search.*"}, []string{"10.0.0.0/8"}
	}))
	w.must(err)
	nobody := desk.Caller{ID: "nobody"}
	for _, c := range []desk.Change{
		{Permissions: new([]string{"search.query"})}, {Roles: new([]string{"primary"})}, {SourceRanges: new([]string{"10.1.0.0/16"})},
		{State: new("Suspended")}, {State: new("Suspended"), Roles: new([]string{})},
	} {
		if _, err := k.Change(w.ctx, nobody, w.scope(), "CI_deploy", c); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []desk.Change{
		{State: new("Active")}, {SourceRanges: new([]string{"10.0.0.0/8"})}, {SourceRanges: new([]string{})}, {Roles: new([]string{"primary"})},
		{Permissions: new([]string{"search.query", "search.suggest"})}, {State: new("Active"), Roles: new([]string{}), SourceRanges: new([]string{"10.1.1.0/24"})},
	} {
		if _, err := k.Change(w.ctx, nobody, w.scope(), "CI_deploy", c); deniedFor(err) == "-" {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if w.good(made.Secret) {
		t.Error("it is good again")
	}
}

// A crash left an object without a version. Its grants can be lowered, and nothing can be raised.
func TestChange_PermittedWithoutVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.counter(api)
	made, err := k.Create(w.ctx, root, w.scope(), ci())
	w.must(err)
	at := w.made(made.Token)
	delete(at.Annotations, v1alpha1.AnnotationRecord)
	w.must(api.Update(w.ctx, at))
	nobody := desk.Caller{ID: "nobody"}
	if _, err := k.Change(w.ctx, nobody, w.scope(), "CI_deploy", desk.Change{Roles: new([]string{"primary", "second"})}); deniedFor(err) != "roles" {
		t.Errorf("to raise it: %v", err)
	}
	if _, err := k.Change(w.ctx, nobody, w.scope(), "CI_deploy", desk.Change{State: new("Suspended")}); err != nil {
		t.Errorf("to lower it: %v", err)
	}
}

// A token is delivered by what it may do when its response is decided, not by what it could do when
// the request came.
func TestManage_GrantsRaisedMeanwhileAreNotShown(t *testing.T) {
	for name, ask := range map[string]func(*world, *counter) (desk.Issued, error){
		"a rotation": func(w *world, k *counter) (desk.Issued, error) {
			return k.Rotate(w.ctx, developer(), w.scope(), "CI_deploy", "")
		},
		"a creation": func(w *world, k *counter) (desk.Issued, error) {
			return k.Create(w.ctx, developer(), w.scope(), ci(func(d *desk.Wanted) { d.Roles = []string{"second"} }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at, hit := 1, true; hit; at++ {
				w := newWorld(t)
				sound, first := w.counter(api), ""
				if name == "a rotation" {
					made, err := sound.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Roles = []string{"second"} }))
					w.must(err)
					first = made.Token.ID
				}
				hit = false
				raised := false
				f := w.faults(0, mode{})
				f.before = func(call int) {
					if call != at {
						return
					}
					hit = true
					shown, err := sound.Get(w.ctx, w.scope(), "CI_deploy")
					if err != nil || w.made(shown).Annotations[v1alpha1.AnnotationRecord] != first {
						return // it does not exist yet, or the response is decided
					}
					_, err = sound.Change(w.ctx, root, w.scope(), "CI_deploy", desk.Change{Roles: new([]string{"primary", "second"})})
					w.must(err)
					raised = true
				}
				issued, err := ask(w, w.counter(f.wrap(api)))
				if raised && deniedFor(err) != "roles" || !raised && err != nil {
					t.Errorf("raised %t at call %d: %+v %v", raised, at, issued.Token, err)
				}
			}
		})
	}
}
