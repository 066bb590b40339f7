package applicationtoken_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
)

// No request over HTTP makes the API server read every record, and a replica with an empty cache
// finds all versions.
func TestConfirmOf_ReadsByNameAlone(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	lists := func(answer error) client.WithWatch {
		return interceptor.NewClient(api, interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
				if _, records := list.(*v1alpha1.TokenRecordList); records {
					return answer
				}
				return c.List(ctx, list, o...)
			},
		})
	}
	k := w.newManagementReplica(api)
	cache, live := byIndexes(t, lists(nil)), lists(errors.New("a list of records"))
	k.Client, k.Live, k.Records = cache, live, kube.New(cache, live, w.ownNamespace)
	held := make([]token.Token, 0, 3)
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Roles = []string{"primary", "second"} }))
	w.must(err)
	held = append(held, made.Secret)
	for range 2 {
		w.now = w.now.Add(10 * time.Minute)
		next, err := k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
		w.must(err)
		held = append(held, next.Secret)
	}
	_, err = k.Change(w.ctx, rootCaller, w.scope(), "CI_deploy", management.Change{Roles: new([]string{"second"})})
	w.must(err)
	store := w.store()
	for i, tok := range held {
		if r, err := store.Find(w.ctx, tok.Digest()); err != nil || !slices.Equal(r.Roles, []string{"second"}) {
			t.Errorf("version %d has %v, %v", i+1, r.Roles, err)
		}
	}
	w.must(k.Revoke(w.ctx, w.scope(), "CI_deploy"))
	for i, tok := range held {
		if w.isAccepted(tok) {
			t.Errorf("version %d is good after its revocation", i+1)
		}
	}
}
