package controllers_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/token"
)

func TestATokenIsMadeAndShownOnce(t *testing.T) {
	w := newWorld(t)
	k := w.counter(api)
	made, err := k.Create(w.ctx, root, w.scope(), ci())
	w.must(err)
	if !w.good(made.Secret) || made.Secret.Kind() != token.Application {
		t.Error("[2] the answer holds no good token of a program")
	}
	if made.Token.Name != "CI_deploy" || !strings.HasPrefix(made.Token.Object, "ci-deploy-") || made.Token.Declared || !made.Token.Ready {
		t.Errorf("made: %+v", made.Token)
	}
	w.must(w.start(api, api).lookAfter())
	got, err := k.Get(w.ctx, w.scope(), "CI_deploy")
	w.must(err)
	if got.ID != made.Secret.Digest().RecordName() || got.ID != made.Token.ID || got.Reason != v1alpha1.ReasonDelivered || !got.Ready || got.Lifetime != time.Hour {
		t.Errorf("got: %+v", got)
	}
	if reason, message := readiness(w.made(got)); reason != v1alpha1.ReasonDelivered || !strings.Contains(message, "version 1 ("+made.Token.Hint+")") {
		t.Errorf("the condition: %s: %s", reason, message)
	}
	list, err := k.List(w.ctx, w.scope())
	w.must(err)
	if len(list) != 1 || list[0].Name != "CI_deploy" {
		t.Errorf("the list: %+v", list)
	}
	if _, err := k.Create(w.ctx, root, w.scope(), ci()); !errors.Is(err, desk.ErrTaken) {
		t.Errorf("a second one of that name: %v", err)
	}
	if _, err := k.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Name = "ci_deploy" })); err != nil {
		t.Errorf("one of another spelling: %v", err)
	}
}

// Threats row 17 and invariant 6: a refused request writes nothing.
func TestWhatCannotBeIsRefusedByItsField(t *testing.T) {
	w := newWorld(t)
	w.user(nil)
	k := w.counter(api)
	user := desk.Scope{Client: w.client, User: w.userName()}
	for name, c := range map[string]struct {
		s     desk.Scope
		field string
		twist func(*desk.Wanted)
	}{
		"a role that the client does not have":   {w.scope(), "roles", func(d *desk.Wanted) { d.Roles = []string{"root"} }},
		"a role that is none":                    {w.scope(), "roles", func(d *desk.Wanted) { d.Roles = []string{"a b"} }},
		"a role twice":                           {w.scope(), "roles", func(d *desk.Wanted) { d.Roles = []string{"primary", "primary"} }},
		"too many roles":                         {w.scope(), "roles", func(d *desk.Wanted) { d.Roles = make([]string, 65) }},
		"a permission that nobody has":           {w.scope(), "permissions", func(d *desk.Wanted) { d.Permissions = []string{"*"} }},
		"a permission that is none":              {w.scope(), "permissions", func(d *desk.Wanted) { d.Permissions = []string{"search..x"} }},
		"a range that is none":                   {w.scope(), "sourceRanges", func(d *desk.Wanted) { d.SourceRanges = []string{"10.0.0.0"} }},
		"a range with bits behind its end":       {w.scope(), "sourceRanges", func(d *desk.Wanted) { d.SourceRanges = []string{"10.0.0.1/8"} }},
		"a negative lifetime":                    {w.scope(), "lifetime", func(d *desk.Wanted) { d.Lifetime = -time.Second }},
		"a lifetime of less than a second":       {w.scope(), "lifetime", func(d *desk.Wanted) { d.Lifetime = 1 }},
		"a lifetime with a fraction":             {w.scope(), "lifetime", func(d *desk.Wanted) { d.Lifetime = time.Hour + time.Millisecond }},
		"a lifetime beyond all bounds":           {w.scope(), "lifetime", func(d *desk.Wanted) { d.Lifetime = 1<<63 - 1 - (1<<63-1)%time.Second }},
		"no name":                                {w.scope(), "name", func(d *desk.Wanted) { d.Name = "" }},
		"a name that begins with a dot":          {w.scope(), "name", func(d *desk.Wanted) { d.Name = ".x" }},
		"a name with a colon":                    {w.scope(), "name", func(d *desk.Wanted) { d.Name = "shop:x" }},
		"a name with a line break":               {w.scope(), "name", func(d *desk.Wanted) { d.Name = "x\n" }},
		"a name of 64 characters":                {w.scope(), "name", func(d *desk.Wanted) { d.Name = strings.Repeat("x", 64) }},
		"a client that is not there":             {desk.Scope{Client: "nobody"}, "", func(*desk.Wanted) {}},
		"a user who is not there":                {desk.Scope{Client: w.client, User: "nobody"}, "", func(d *desk.Wanted) { d.Roles = nil }},
		"a user who has no account there":        {desk.Scope{Client: "nobody", User: w.userName()}, "", func(d *desk.Wanted) { d.Roles = nil }},
		"a role for a token of a user":           {user, "roles", func(*desk.Wanted) {}},
		"a permission for a token of a user":     {user, "permissions", func(d *desk.Wanted) { d.Roles, d.Permissions = nil, []string{"search.x"} }},
		"a name that is no name, and a client's": {w.scope(), "name", func(d *desk.Wanted) { d.Name = "ata_\x00" }},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := k.Create(w.ctx, root, c.s, ci(c.twist))
			if no, ok := errors.AsType[*desk.Refused](err); !ok || no.Field != c.field || no.Message == "" {
				t.Errorf("%v; want a refusal of %q", err, c.field)
			}
		})
	}
	if got := w.state(); got != "" {
		t.Errorf("written for what was refused: %s", got)
	}
}

func TestThePolicyOfTheClientHoldsAtTheDesk(t *testing.T) {
	w := newWorld(t)
	k := w.counter(api)
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.client}, &c))
	c.Spec.Tokens = v1alpha1.TokenPolicy{MaxLifetime: "2h", NonExpiring: v1alpha1.NonExpiringForbid, MaxCount: new(int32(1))}
	w.must(api.Update(w.ctx, &c))
	for name, life := range map[string]time.Duration{"none": 0, "too long": 3 * time.Hour} {
		_, err := k.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Lifetime = life }))
		if no, ok := errors.AsType[*desk.Refused](err); !ok || no.Field != "lifetime" {
			t.Errorf("a lifetime that is %s: %v", name, err)
		}
	}
	_, err := k.Create(w.ctx, root, w.scope(), ci())
	w.must(err)
	w.must(w.start(api, api).lookAfter())
	_, err = k.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Name = "second" }))
	if no, ok := errors.AsType[*desk.Refused](err); !ok || !strings.Contains(no.Message, "at most 1 tokens") {
		t.Errorf("one too many: %v", err)
	}
	if _, err := k.Create(w.ctx, root, w.scope(), ci()); !errors.Is(err, desk.ErrTaken) {
		t.Errorf("one that is there: %v", err)
	}
}

func TestATokenOfAUserIsMadeForThisVeryUser(t *testing.T) {
	w := newWorld(t)
	w.user(func(u *v1alpha1.User) { u.Spec.Namespaces.Names = nil })
	k := w.counter(api)
	user := desk.Scope{User: w.userName()}
	made, err := k.Create(w.ctx, root, user, desk.Wanted{Name: "laptop"})
	w.must(err)
	if made.Secret.Kind() != token.UserApplication || made.Token.Client != w.client || made.Token.User != w.userName() {
		t.Errorf("made: %+v", made.Token)
	}
	if refs := w.made(made.Token).OwnerReferences; len(refs) != 1 || refs[0].Kind != "User" || refs[0].Name != w.userName() {
		t.Errorf("it is owned by %v", refs)
	}
	w.must(w.start(api, api).lookAfter())
	if r := w.newest(); r.User != w.userName() || r.Kind != token.UserApplication || r.Suspended {
		t.Errorf("the record: %+v", r)
	}
	if list, err := k.List(w.ctx, w.scope()); err != nil || len(list) != 0 {
		t.Errorf("the client sees %v, %v", list, err)
	}
	if list, err := k.List(w.ctx, user); err != nil || len(list) != 1 {
		t.Errorf("the user sees %v, %v", list, err)
	}
	w.must(api.Delete(w.ctx, &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: w.userName()}}))
	w.user(nil)
	w.must(w.start(api, api).lookAfter())
	if w.good(made.Secret) {
		t.Error("a namesake inherits the token")
	}
	if _, err := k.Get(w.ctx, user, "laptop"); !errors.Is(err, desk.ErrMissing) {
		t.Errorf("a namesake sees it: %v", err)
	}
}

// Threats row 13.
func TestATokenOfAnotherScopeIsNotThere(t *testing.T) {
	w := newWorld(t)
	other := desk.Scope{Client: w.otherClient()}
	w.user(nil)
	user := desk.Scope{Client: w.client, User: w.userName()}
	w.must(w.declare())
	w.must(w.start(api, api).settle())
	k := w.counter(api)
	_, err := k.Create(w.ctx, root, w.scope(), ci())
	w.must(err)
	ofUser, err := k.Create(w.ctx, root, user, desk.Wanted{Name: "laptop"})
	w.must(err)
	before := w.state()
	for _, c := range []struct {
		s    desk.Scope
		name string
	}{
		{other, "CI_deploy"}, {user, "CI_deploy"}, {w.scope(), "laptop"}, {other, "laptop"}, {other, w.shop + ":indexer"}, {user, w.shop + ":indexer"},
		{w.scope(), "nothing"}, {w.scope(), w.shop + ":nothing"}, {w.scope(), "a:b:c"}, {w.scope(), ":"}, {w.scope(), ""}, {w.scope(), "../x"},
		{other, w.own + ":" + ofUser.Token.Object}, {user, w.own + ":" + ofUser.Token.Object}, // by its object name alone
	} {
		_, got := k.Get(w.ctx, c.s, c.name)
		_, changed := k.Change(w.ctx, root, c.s, c.name, desk.Change{})
		_, cloned := k.Clone(w.ctx, root, c.s, c.name, "mine", "")
		_, rotated := k.Rotate(w.ctx, root, c.s, c.name, "")
		for what, err := range map[string]error{"get": got, "change": changed, "clone": cloned, "rotate": rotated, "revoke": k.Revoke(w.ctx, c.s, c.name)} {
			if !errors.Is(err, desk.ErrMissing) || err.Error() != desk.ErrMissing.Error() {
				t.Errorf("%s %q as %+v: %v", what, c.name, c.s, err)
			}
		}
	}
	if w.state() != before {
		t.Error("something was written")
	}
}
