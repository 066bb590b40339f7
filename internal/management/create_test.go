package management_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
	"github.com/apptoken/operator/internal/token"
)

func TestCreate_ReturnsPlaintextOnce(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	if !w.IsAccepted(made.Secret) || made.Secret.Kind() != token.Application {
		t.Error("[2] the answer holds no valid token of a program")
	}
	if made.Token.Name != "CI_deploy" || !strings.HasPrefix(made.Token.Object, "ci-deploy-") || made.Token.Declared || !made.Token.Ready {
		t.Errorf("made: %+v", made.Token)
	}
	w.Must(w.NewOperator(api, api).SettleOwnNamespace())
	got, err := k.Get(w.Ctx, w.Scope(), "CI_deploy")
	w.Must(err)
	if got.ID != made.Secret.Digest().RecordName() || got.ID != made.Token.ID || got.Reason != v1alpha1.ReasonDelivered || !got.Ready || got.Lifetime != time.Hour {
		t.Errorf("got: %+v", got)
	}
	if reason, message := operatortest.Readiness(w.ManagedObject(got)); reason != v1alpha1.ReasonDelivered || !strings.Contains(message, "Version 1 ("+made.Token.Hint+")") {
		t.Errorf("the condition: %s: %s", reason, message)
	}
	list, err := k.List(w.Ctx, w.Scope())
	w.Must(err)
	if len(list) != 1 || list[0].Name != "CI_deploy" {
		t.Errorf("the list: %+v", list)
	}
	if _, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken()); !errors.Is(err, management.ErrExists) {
		t.Errorf("a second one of that name: %v", err)
	}
	if _, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Name = "ci_deploy" })); err != nil {
		t.Errorf("one of another spelling: %v", err)
	}
}

// Threats row 17 and invariant 6: a refused request writes nothing.
func TestCreate_InvalidFieldIsNamed(t *testing.T) {
	w := newFixture(t)
	w.CreateUser(nil)
	k := w.NewManagementReplica(api)
	user := management.Scope{Client: w.ClientName, User: w.UserName()}
	for name, c := range map[string]struct {
		s     management.Scope
		field string
		twist func(*management.TokenSpec)
	}{
		"a role that the client does not have":   {w.Scope(), "roles", func(d *management.TokenSpec) { d.Roles = []string{"root"} }},
		"a role that is none":                    {w.Scope(), "roles", func(d *management.TokenSpec) { d.Roles = []string{"a b"} }},
		"a role twice":                           {w.Scope(), "roles", func(d *management.TokenSpec) { d.Roles = []string{"primary", "primary"} }},
		"too many roles":                         {w.Scope(), "roles", func(d *management.TokenSpec) { d.Roles = make([]string, 65) }},
		"a permission of no role":                {w.Scope(), "permissions", func(d *management.TokenSpec) { d.Permissions = []string{"*"} }},
		"a permission that is none":              {w.Scope(), "permissions", func(d *management.TokenSpec) { d.Permissions = []string{"search..x"} }},
		"a range that is none":                   {w.Scope(), "sourceRanges", func(d *management.TokenSpec) { d.SourceRanges = []string{"10.0.0.0"} }},
		"a range with bits behind its end":       {w.Scope(), "sourceRanges", func(d *management.TokenSpec) { d.SourceRanges = []string{"10.0.0.1/8"} }},
		"a negative lifetime":                    {w.Scope(), "lifetime", func(d *management.TokenSpec) { d.Lifetime = -time.Second }},
		"a lifetime of less than a second":       {w.Scope(), "lifetime", func(d *management.TokenSpec) { d.Lifetime = 1 }},
		"a lifetime with a fraction":             {w.Scope(), "lifetime", func(d *management.TokenSpec) { d.Lifetime = time.Hour + time.Millisecond }},
		"a lifetime beyond all bounds":           {w.Scope(), "lifetime", func(d *management.TokenSpec) { d.Lifetime = 1<<63 - 1 - (1<<63-1)%time.Second }},
		"no name":                                {w.Scope(), "name", func(d *management.TokenSpec) { d.Name = "" }},
		"a name that begins with a dot":          {w.Scope(), "name", func(d *management.TokenSpec) { d.Name = ".x" }},
		"a name with a colon":                    {w.Scope(), "name", func(d *management.TokenSpec) { d.Name = "shop:x" }},
		"a name with a line break":               {w.Scope(), "name", func(d *management.TokenSpec) { d.Name = "x\n" }},
		"a name of 64 characters":                {w.Scope(), "name", func(d *management.TokenSpec) { d.Name = strings.Repeat("x", 64) }},
		"a client that is not there":             {management.Scope{Client: "absent"}, "", func(*management.TokenSpec) {}},
		"a user who is not there":                {management.Scope{Client: w.ClientName, User: "absent"}, "", func(d *management.TokenSpec) { d.Roles = nil }},
		"a user who has no account there":        {management.Scope{Client: "absent", User: w.UserName()}, "", func(d *management.TokenSpec) { d.Roles = nil }},
		"a role for a token of a user":           {user, "roles", func(*management.TokenSpec) {}},
		"a permission for a token of a user":     {user, "permissions", func(d *management.TokenSpec) { d.Roles, d.Permissions = nil, []string{"search.x"} }},
		"a name that is no name, and a client's": {w.Scope(), "name", func(d *management.TokenSpec) { d.Name = "ata_\x00" }},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := k.Create(w.Ctx, operatortest.RootCaller, c.s, operatortest.CIToken(c.twist))
			if no, ok := errors.AsType[*management.Refused](err); !ok || no.Field != c.field || no.Message == "" {
				t.Errorf("%v; want a refusal of %q", err, c.field)
			}
		})
	}
	if got := w.ResourceVersions(); got != "" {
		t.Errorf("written for what was refused: %s", got)
	}
}

func TestCreate_ClientPolicyIsEnforced(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	var c v1alpha1.Client
	w.Must(api.Get(w.Ctx, types.NamespacedName{Name: w.ClientName}, &c))
	c.Spec.Tokens = v1alpha1.TokenPolicy{MaxLifetime: "2h", NonExpiring: v1alpha1.NonExpiringForbid, MaxCount: new(int32(1))}
	w.Must(api.Update(w.Ctx, &c))
	for name, life := range map[string]time.Duration{"none": 0, "too long": 3 * time.Hour} {
		_, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Lifetime = life }))
		if no, ok := errors.AsType[*management.Refused](err); !ok || no.Field != "lifetime" {
			t.Errorf("a lifetime that is %s: %v", name, err)
		}
	}
	_, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	w.Must(w.NewOperator(api, api).SettleOwnNamespace())
	_, err = k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Name = "second" }))
	if no, ok := errors.AsType[*management.Refused](err); !ok || !strings.Contains(no.Message, "at most 1 tokens") {
		t.Errorf("one too many: %v", err)
	}
	if _, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken()); !errors.Is(err, management.ErrExists) {
		t.Errorf("one that is there: %v", err)
	}
}

func TestCreate_UserTokenBelongsToThatUser(t *testing.T) {
	w := newFixture(t)
	w.CreateUser(func(u *v1alpha1.User) { u.Spec.Namespaces.Names = nil })
	k := w.NewManagementReplica(api)
	user := management.Scope{User: w.UserName()}
	made, err := k.Create(w.Ctx, operatortest.RootCaller, user, management.TokenSpec{Name: "laptop"})
	w.Must(err)
	if made.Secret.Kind() != token.UserApplication || made.Token.Client != w.ClientName || made.Token.User != w.UserName() {
		t.Errorf("made: %+v", made.Token)
	}
	if refs := w.ManagedObject(made.Token).OwnerReferences; len(refs) != 1 || refs[0].Kind != "User" || refs[0].Name != w.UserName() {
		t.Errorf("it is owned by %v", refs)
	}
	w.Must(w.NewOperator(api, api).SettleOwnNamespace())
	if r := w.NewestRecord(); r.User != w.UserName() || r.Kind != token.UserApplication || r.Suspended {
		t.Errorf("the record: %+v", r)
	}
	if list, err := k.List(w.Ctx, w.Scope()); err != nil || len(list) != 0 {
		t.Errorf("the client sees %v, %v", list, err)
	}
	if list, err := k.List(w.Ctx, user); err != nil || len(list) != 1 {
		t.Errorf("the user sees %v, %v", list, err)
	}
	w.Must(api.Delete(w.Ctx, &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: w.UserName()}}))
	w.CreateUser(nil)
	w.Must(w.NewOperator(api, api).SettleOwnNamespace())
	if w.IsAccepted(made.Secret) {
		t.Error("a namesake inherits the token")
	}
	if _, err := k.Get(w.Ctx, user, "laptop"); !errors.Is(err, management.ErrNotFound) {
		t.Errorf("a namesake sees it: %v", err)
	}
}

// Threats row 13.
func TestManage_TokenOfAnotherScopeIsMissing(t *testing.T) {
	w := newFixture(t)
	other := management.Scope{Client: w.OtherClient()}
	w.CreateUser(nil)
	user := management.Scope{Client: w.ClientName, User: w.UserName()}
	w.Must(w.DeclareToken())
	w.Must(w.NewOperator(api, api).Settle())
	k := w.NewManagementReplica(api)
	_, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	ofUser, err := k.Create(w.Ctx, operatortest.RootCaller, user, management.TokenSpec{Name: "laptop"})
	w.Must(err)
	before := w.ResourceVersions()
	for _, c := range []struct {
		s    management.Scope
		name string
	}{
		{other, "CI_deploy"}, {user, "CI_deploy"}, {w.Scope(), "laptop"}, {other, "laptop"}, {other, w.Namespace + ":indexer"}, {user, w.Namespace + ":indexer"},
		{w.Scope(), "nothing"}, {w.Scope(), w.Namespace + ":nothing"}, {w.Scope(), "a:b:c"}, {w.Scope(), ":"}, {w.Scope(), ""}, {w.Scope(), "../x"},
		{other, w.OwnNamespace + ":" + ofUser.Token.Object}, {user, w.OwnNamespace + ":" + ofUser.Token.Object}, // by its object name alone
	} {
		_, got := k.Get(w.Ctx, c.s, c.name)
		_, changed := k.Change(w.Ctx, operatortest.RootCaller, c.s, c.name, management.Change{})
		_, cloned := k.Clone(w.Ctx, operatortest.RootCaller, c.s, c.name, "mine", "")
		_, rotated := k.Rotate(w.Ctx, operatortest.RootCaller, c.s, c.name, "")
		for what, err := range map[string]error{"get": got, "change": changed, "clone": cloned, "rotate": rotated, "revoke": k.Revoke(w.Ctx, c.s, c.name)} {
			if !errors.Is(err, management.ErrNotFound) || err.Error() != management.ErrNotFound.Error() {
				t.Errorf("%s %q as %+v: %v", what, c.name, c.s, err)
			}
		}
	}
	if w.ResourceVersions() != before {
		t.Error("something was written")
	}
}
