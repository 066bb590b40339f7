package controllers_test

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
	"github.com/apptoken/operator/internal/desk"
)

// asked returns the result of each request about a token of that name.
func (w *world) asked(k *counter, name string) map[string]error {
	_, got := k.Get(w.ctx, w.scope(), name)
	_, changed := k.Change(w.ctx, root, w.scope(), name, desk.Change{State: new("Suspended")})
	_, cloned := k.Clone(w.ctx, root, w.scope(), name, "mine", "")
	_, rotated := k.Rotate(w.ctx, root, w.scope(), name, "")
	return map[string]error{"get": got, "change": changed, "clone": cloned, "rotate": rotated, "revoke": k.Revoke(w.ctx, w.scope(), name)}
}

func TestObjectName_Has80BitsOfDigest(t *testing.T) {
	w := newWorld(t)
	k := w.counter(api)
	objects := map[string]bool{}
	for _, name := range []string{"a", "A", strings.Repeat("a", 63), strings.Repeat("a", 62) + "b", "CI_deploy", "CI.deploy"} {
		made, err := k.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Name = name }))
		w.must(err)
		object := made.Token.Object
		if !regexp.MustCompile(`^[a-z0-9-]*-[0-9a-f]{20}$`).MatchString(object) || len(object) > 63 || objects[object] {
			t.Errorf("%q is the object %q", name, object)
		}
		objects[object] = true
	}
}

func TestANameThatNoTokenCanHaveIsNotThere(t *testing.T) {
	w := newWorld(t)
	w.must(w.declare())
	k := w.counter(api)
	long := strings.Repeat("a", 64)
	for _, name := range []string{
		"..:indexer", w.shop + ":..", w.shop + ":.", w.shop + ":indexer/status", w.shop + ":a%b", w.shop + ":A", w.shop + ":a_b", w.shop + ": ", w.shop + ":ü",
		w.shop + ":" + strings.Repeat(long+".", 4), strings.ToUpper(w.shop) + ":indexer", "a.b:indexer", "a/b:indexer", long + ":indexer", "a\x00b:indexer",
		":indexer", w.shop + ":", w.shop + ":indexer:", w.shop + "::indexer",
	} {
		for what, err := range w.asked(k, name) {
			if !errors.Is(err, desk.ErrMissing) || err.Error() != desk.ErrMissing.Error() {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
	}
}

// With --namespaces, the cache returns only an error for other namespaces, and the operator may
// have no permissions there.
func TestATokenOfANamespaceThatIsNotServedIsNotThere(t *testing.T) {
	w, elsewhere := newWorld(t), newWorld(t)
	w.must(w.declare())
	elsewhere.client = w.client
	w.must(elsewhere.declare())
	tokens, err := cache.New(admin, cache.Options{Scheme: api.Scheme(), ByObject: map[client.Object]cache.ByObject{
		&v1alpha1.ApplicationToken{}: {Namespaces: map[string]cache.Config{w.own: {}, w.shop: {}}},
	}})
	w.must(err)
	stopped := make(chan error, 1)
	ctx, stop := context.WithCancel(w.ctx)
	go func() { stopped <- tokens.Start(ctx) }()
	defer func() { stop(); w.must(<-stopped) }()
	if !tokens.WaitForCacheSync(ctx) {
		t.Fatal("the cache was not filled")
	}

	k := w.counter(api)
	k.Client = interceptor.NewClient(byIndexes(t, api), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			if at, is := obj.(*v1alpha1.ApplicationToken); is {
				return tokens.Get(ctx, key, at, o...)
			}
			return c.Get(ctx, key, obj, o...)
		},
	})
	k.Live = interceptor.NewClient(api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, o ...client.GetOption) error {
			if key.Namespace == elsewhere.shop {
				t.Errorf("%s is read, in a namespace that is not served", key)
			}
			return c.Get(ctx, key, obj, o...)
		},
	})
	if _, err := k.Get(w.ctx, w.scope(), w.shop+":indexer"); err != nil {
		t.Errorf("one that is served: %v", err)
	}
	for _, name := range []string{elsewhere.shop + ":indexer", elsewhere.shop + ":nothing", "nowhere:indexer", w.shop + ":nothing"} {
		for what, err := range w.asked(k, name) {
			if !errors.Is(err, desk.ErrMissing) || err.Error() != desk.ErrMissing.Error() {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
	}
	if elsewhere.token().Spec.State != v1alpha1.TokenActive {
		t.Error("it was ended all the same")
	}
}
