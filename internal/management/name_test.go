package management_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// callEach returns the result of each request about a token of that name.
func (w *fixture) callEach(k *operatortest.ManagementReplica, name string) map[string]error {
	_, got := k.Get(w.Ctx, w.Scope(), name)
	_, changed := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), name, management.Change{State: new("Suspended")})
	_, cloned := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), name, "mine", "")
	_, rotated := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), name, "")
	return map[string]error{"get": got, "change": changed, "clone": cloned, "rotate": rotated, "revoke": k.Revoke(w.Ctx, w.Scope(), name)}
}

func TestObjectName_Has80BitsOfDigest(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	objects := map[string]bool{}
	for _, name := range []string{"a", "A", strings.Repeat("a", 63), strings.Repeat("a", 62) + "b", "CI_deploy", "CI.deploy", "CI deploy", "ci@deploy", "ci+deploy", "a " + strings.Repeat("b", 61), strings.Repeat("a@", 31)} {
		made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Name = name }))
		w.Must(err)
		object := made.Token.Object
		if !regexp.MustCompile(`^[a-z0-9-]*-[0-9a-f]{20}$`).MatchString(object) || len(object) > 63 || objects[object] {
			t.Errorf("%q is the object %q", name, object)
		}
		objects[object] = true
	}
}

func TestCheckTokenName_RefusesWhatPathsAndUsersMistake(t *testing.T) {
	for _, name := range []string{
		"a", "Z9", "my crawler", "a b c d", "alice@example.com", "CI (staging)", "a+b", "a~b", "a.b_c-d", "0", strings.Repeat("a", 63), strings.Repeat("a ", 31) + "a", "a.", "a@",
	} {
		if err := management.CheckTokenName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", " ", " a", "a ", "a  b", "a b ", "@a", "~a", ".a", "-a", "(a", "+", "a/b", "a:b", "a%b", "a%20b", `a\b`, "a?b", "a#b", "a;b", "a,b", "a&b", "a=b", `a"b`, "a'b", "a<b", "a|b", "a*b", "a$b", "a!b",
		"a\tb", "a\nb", "a\n", "a\rb", "a\x00b", "a\x7f", "a\u00a0b", "a\u2003b", "ü", "u\u0308", "\u0430", "a\u200bb", "a\xff", strings.Repeat("a", 64), strings.Repeat("a ", 32), "a" + strings.Repeat(" b", 32), strings.Repeat("a", 1<<20),
	} {
		refused, isRefused := errors.AsType[*management.Refused](management.CheckTokenName(name))
		if !isRefused || refused.Field != "name" || len(name) > 3 && strings.Contains(refused.Error(), name) {
			t.Errorf("%q: %v", name[:min(len(name), 80)], refused)
		}
	}
}

func TestManage_InvalidNameIsMissing(t *testing.T) {
	w := newFixture(t)
	w.Must(w.DeclareToken())
	k := w.NewManagementReplica(api)
	long := strings.Repeat("a", 64)
	for _, name := range []string{
		"..:indexer", w.Namespace + ":..", w.Namespace + ":.", w.Namespace + ":indexer/status", w.Namespace + ":a%b", w.Namespace + ":A", w.Namespace + ":a_b", w.Namespace + ": ", w.Namespace + ":ü",
		w.Namespace + ":" + strings.Repeat(long+".", 4), strings.ToUpper(w.Namespace) + ":indexer", "a.b:indexer", "a/b:indexer", long + ":indexer", "a\x00b:indexer",
		":indexer", w.Namespace + ":", w.Namespace + ":indexer:", w.Namespace + "::indexer", " " + w.Namespace + ":indexer", w.Namespace + ":indexer ", "@" + w.Namespace + ":indexer",
	} {
		for what, err := range w.callEach(k, name) {
			if !errors.Is(err, management.ErrNotFound) || err.Error() != management.ErrNotFound.Error() {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
	}
}

// With --namespaces, the cache returns only an error for other namespaces, and the operator may
// have no permissions there.
func TestManage_TokenInUnservedNamespaceIsMissing(t *testing.T) {
	w, elsewhere := newFixture(t), newFixture(t)
	w.Must(w.DeclareToken())
	elsewhere.ClientName = w.ClientName
	w.Must(elsewhere.DeclareToken())
	tokens, err := cache.New(admin, cache.Options{Scheme: api.Scheme(), ByObject: map[client.Object]cache.ByObject{
		&v1alpha1.ApplicationToken{}: {Namespaces: map[string]cache.Config{w.OwnNamespace: {}, w.Namespace: {}}},
	}})
	w.Must(err)
	stopped := make(chan error, 1)
	ctx, stop := context.WithCancel(w.Ctx)
	go func() { stopped <- tokens.Start(ctx) }()
	defer func() { stop(); w.Must(<-stopped) }()
	if !tokens.WaitForCacheSync(ctx) {
		t.Fatal("the cache was not filled")
	}

	k := w.NewManagementReplica(api)
	k.Client = interceptor.NewClient(operatortest.ByIndexes(t, api), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			if at, is := obj.(*v1alpha1.ApplicationToken); is {
				return tokens.Get(ctx, key, at, o...)
			}
			return c.Get(ctx, key, obj, o...)
		},
	})
	k.Live = interceptor.NewClient(api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			if key.Namespace == elsewhere.Namespace {
				t.Errorf("%s is read, in a namespace that is not served", key)
			}
			return c.Get(ctx, key, obj, o...)
		},
	})
	if _, err := k.Get(w.Ctx, w.Scope(), w.Namespace+":indexer"); err != nil {
		t.Errorf("one that is served: %v", err)
	}
	for _, name := range []string{elsewhere.Namespace + ":indexer", elsewhere.Namespace + ":nothing", "nowhere:indexer", w.Namespace + ":nothing"} {
		for what, err := range w.callEach(k, name) {
			if !errors.Is(err, management.ErrNotFound) || err.Error() != management.ErrNotFound.Error() {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
	}
	if elsewhere.Token().Spec.State != v1alpha1.TokenActive {
		t.Error("it was ended all the same")
	}
}
