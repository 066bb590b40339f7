package applicationtoken_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/token"
)

func TestCreate_ReturnsPlaintextOnce(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	if !w.isAccepted(made.Secret) || made.Secret.Kind() != token.Application {
		t.Error("[2] the answer holds no good token of a program")
	}
	if made.Token.Name != "CI_deploy" || !strings.HasPrefix(made.Token.Object, "ci-deploy-") || made.Token.Declared || !made.Token.Ready {
		t.Errorf("made: %+v", made.Token)
	}
	w.must(w.newOperator(api, api).settleOwnNamespace())
	got, err := k.Get(w.ctx, w.scope(), "CI_deploy")
	w.must(err)
	if got.ID != made.Secret.Digest().RecordName() || got.ID != made.Token.ID || got.Reason != v1alpha1.ReasonDelivered || !got.Ready || got.Lifetime != time.Hour {
		t.Errorf("got: %+v", got)
	}
	if reason, message := readiness(w.managedObject(got)); reason != v1alpha1.ReasonDelivered || !strings.Contains(message, "Version 1 ("+made.Token.Hint+")") {
		t.Errorf("the condition: %s: %s", reason, message)
	}
	list, err := k.List(w.ctx, w.scope())
	w.must(err)
	if len(list) != 1 || list[0].Name != "CI_deploy" {
		t.Errorf("the list: %+v", list)
	}
	if _, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken()); !errors.Is(err, management.ErrExists) {
		t.Errorf("a second one of that name: %v", err)
	}
	if _, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Name = "ci_deploy" })); err != nil {
		t.Errorf("one of another spelling: %v", err)
	}
}

// Threats row 17 and invariant 6: a refused request writes nothing.
func TestCreate_InvalidFieldIsNamed(t *testing.T) {
	w := newFixture(t)
	w.createUser(nil)
	k := w.newManagementReplica(api)
	user := management.Scope{Client: w.clientName, User: w.userName()}
	for name, c := range map[string]struct {
		s     management.Scope
		field string
		twist func(*management.TokenSpec)
	}{
		"a role that the client does not have":   {w.scope(), "roles", func(d *management.TokenSpec) { d.Roles = []string{"root"} }},
		"a role that is none":                    {w.scope(), "roles", func(d *management.TokenSpec) { d.Roles = []string{"a b"} }},
		"a role twice":                           {w.scope(), "roles", func(d *management.TokenSpec) { d.Roles = []string{"primary", "primary"} }},
		"too many roles":                         {w.scope(), "roles", func(d *management.TokenSpec) { d.Roles = make([]string, 65) }},
		"a permission of no role":                {w.scope(), "permissions", func(d *management.TokenSpec) { d.Permissions = []string{"*"} }},
		"a permission that is none":              {w.scope(), "permissions", func(d *management.TokenSpec) { d.Permissions = []string{"search..x"} }},
		"a range that is none":                   {w.scope(), "sourceRanges", func(d *management.TokenSpec) { d.SourceRanges = []string{"10.0.0.0"} }},
		"a range with bits behind its end":       {w.scope(), "sourceRanges", func(d *management.TokenSpec) { d.SourceRanges = []string{"10.0.0.1/8"} }},
		"a negative lifetime":                    {w.scope(), "lifetime", func(d *management.TokenSpec) { d.Lifetime = -time.Second }},
		"a lifetime of less than a second":       {w.scope(), "lifetime", func(d *management.TokenSpec) { d.Lifetime = 1 }},
		"a lifetime with a fraction":             {w.scope(), "lifetime", func(d *management.TokenSpec) { d.Lifetime = time.Hour + time.Millisecond }},
		"a lifetime beyond all bounds":           {w.scope(), "lifetime", func(d *management.TokenSpec) { d.Lifetime = 1<<63 - 1 - (1<<63-1)%time.Second }},
		"no name":                                {w.scope(), "name", func(d *management.TokenSpec) { d.Name = "" }},
		"a name that begins with a dot":          {w.scope(), "name", func(d *management.TokenSpec) { d.Name = ".x" }},
		"a name with a colon":                    {w.scope(), "name", func(d *management.TokenSpec) { d.Name = "shop:x" }},
		"a name with a line break":               {w.scope(), "name", func(d *management.TokenSpec) { d.Name = "x\n" }},
		"a name of 64 characters":                {w.scope(), "name", func(d *management.TokenSpec) { d.Name = strings.Repeat("x", 64) }},
		"a client that is not there":             {management.Scope{Client: "nobody"}, "", func(*management.TokenSpec) {}},
		"a user who is not there":                {management.Scope{Client: w.clientName, User: "nobody"}, "", func(d *management.TokenSpec) { d.Roles = nil }},
		"a user who has no account there":        {management.Scope{Client: "nobody", User: w.userName()}, "", func(d *management.TokenSpec) { d.Roles = nil }},
		"a role for a token of a user":           {user, "roles", func(*management.TokenSpec) {}},
		"a permission for a token of a user":     {user, "permissions", func(d *management.TokenSpec) { d.Roles, d.Permissions = nil, []string{"search.x"} }},
		"a name that is no name, and a client's": {w.scope(), "name", func(d *management.TokenSpec) { d.Name = "ata_\x00" }},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := k.Create(w.ctx, rootCaller, c.s, ciToken(c.twist))
			if no, ok := errors.AsType[*management.Refused](err); !ok || no.Field != c.field || no.Message == "" {
				t.Errorf("%v; want a refusal of %q", err, c.field)
			}
		})
	}
	if got := w.resourceVersions(); got != "" {
		t.Errorf("written for what was refused: %s", got)
	}
}

func TestCreate_ClientPolicyIsEnforced(t *testing.T) {
	w := newFixture(t)
	k := w.newManagementReplica(api)
	var c v1alpha1.Client
	w.must(api.Get(w.ctx, types.NamespacedName{Name: w.clientName}, &c))
	c.Spec.Tokens = v1alpha1.TokenPolicy{MaxLifetime: "2h", NonExpiring: v1alpha1.NonExpiringForbid, MaxCount: new(int32(1))}
	w.must(api.Update(w.ctx, &c))
	for name, life := range map[string]time.Duration{"none": 0, "too long": 3 * time.Hour} {
		_, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Lifetime = life }))
		if no, ok := errors.AsType[*management.Refused](err); !ok || no.Field != "lifetime" {
			t.Errorf("a lifetime that is %s: %v", name, err)
		}
	}
	_, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	w.must(w.newOperator(api, api).settleOwnNamespace())
	_, err = k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Name = "second" }))
	if no, ok := errors.AsType[*management.Refused](err); !ok || !strings.Contains(no.Message, "at most 1 tokens") {
		t.Errorf("one too many: %v", err)
	}
	if _, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken()); !errors.Is(err, management.ErrExists) {
		t.Errorf("one that is there: %v", err)
	}
}

func TestCreate_UserTokenBelongsToThatUser(t *testing.T) {
	w := newFixture(t)
	w.createUser(func(u *v1alpha1.User) { u.Spec.Namespaces.Names = nil })
	k := w.newManagementReplica(api)
	user := management.Scope{User: w.userName()}
	made, err := k.Create(w.ctx, rootCaller, user, management.TokenSpec{Name: "laptop"})
	w.must(err)
	if made.Secret.Kind() != token.UserApplication || made.Token.Client != w.clientName || made.Token.User != w.userName() {
		t.Errorf("made: %+v", made.Token)
	}
	if refs := w.managedObject(made.Token).OwnerReferences; len(refs) != 1 || refs[0].Kind != "User" || refs[0].Name != w.userName() {
		t.Errorf("it is owned by %v", refs)
	}
	w.must(w.newOperator(api, api).settleOwnNamespace())
	if r := w.newestRecord(); r.User != w.userName() || r.Kind != token.UserApplication || r.Suspended {
		t.Errorf("the record: %+v", r)
	}
	if list, err := k.List(w.ctx, w.scope()); err != nil || len(list) != 0 {
		t.Errorf("the client sees %v, %v", list, err)
	}
	if list, err := k.List(w.ctx, user); err != nil || len(list) != 1 {
		t.Errorf("the user sees %v, %v", list, err)
	}
	w.must(api.Delete(w.ctx, &v1alpha1.User{ObjectMeta: metav1.ObjectMeta{Name: w.userName()}}))
	w.createUser(nil)
	w.must(w.newOperator(api, api).settleOwnNamespace())
	if w.isAccepted(made.Secret) {
		t.Error("a namesake inherits the token")
	}
	if _, err := k.Get(w.ctx, user, "laptop"); !errors.Is(err, management.ErrNotFound) {
		t.Errorf("a namesake sees it: %v", err)
	}
}

// Threats row 13.
func TestManage_TokenOfAnotherScopeIsMissing(t *testing.T) {
	w := newFixture(t)
	other := management.Scope{Client: w.otherClient()}
	w.createUser(nil)
	user := management.Scope{Client: w.clientName, User: w.userName()}
	w.must(w.declareToken())
	w.must(w.newOperator(api, api).settle())
	k := w.newManagementReplica(api)
	_, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken())
	w.must(err)
	ofUser, err := k.Create(w.ctx, rootCaller, user, management.TokenSpec{Name: "laptop"})
	w.must(err)
	before := w.resourceVersions()
	for _, c := range []struct {
		s    management.Scope
		name string
	}{
		{other, "CI_deploy"}, {user, "CI_deploy"}, {w.scope(), "laptop"}, {other, "laptop"}, {other, w.namespace + ":indexer"}, {user, w.namespace + ":indexer"},
		{w.scope(), "nothing"}, {w.scope(), w.namespace + ":nothing"}, {w.scope(), "a:b:c"}, {w.scope(), ":"}, {w.scope(), ""}, {w.scope(), "../x"},
		{other, w.ownNamespace + ":" + ofUser.Token.Object}, {user, w.ownNamespace + ":" + ofUser.Token.Object}, // by its object name alone
	} {
		_, got := k.Get(w.ctx, c.s, c.name)
		_, changed := k.Change(w.ctx, rootCaller, c.s, c.name, management.Change{})
		_, cloned := k.Clone(w.ctx, rootCaller, c.s, c.name, "mine", "")
		_, rotated := k.Rotate(w.ctx, rootCaller, c.s, c.name, "")
		for what, err := range map[string]error{"get": got, "change": changed, "clone": cloned, "rotate": rotated, "revoke": k.Revoke(w.ctx, c.s, c.name)} {
			if !errors.Is(err, management.ErrNotFound) || err.Error() != management.ErrNotFound.Error() {
				t.Errorf("%s %q as %+v: %v", what, c.name, c.s, err)
			}
		}
	}
	if w.resourceVersions() != before {
		t.Error("something was written")
	}
}
