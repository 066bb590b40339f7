package management_test

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
	"github.com/apptoken/operator/internal/testing/operatortest"
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
	k := w.NewManagementReplica(api)
	cache, live := operatortest.ByIndexes(t, lists(nil)), lists(errors.New("a list of records"))
	k.Client, k.Live, k.Records = cache, live, kube.New(cache, live, w.OwnNamespace)
	held := make([]token.Token, 0, 3)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Roles = []string{"primary", "second"} }))
	w.Must(err)
	held = append(held, made.Secret)
	for range 2 {
		w.Now = w.Now.Add(10 * time.Minute)
		next, err := k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
		w.Must(err)
		held = append(held, next.Secret)
	}
	_, err = k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{Roles: new([]string{"second"})})
	w.Must(err)
	store := w.Store()
	for i, tok := range held {
		if r, err := store.Find(w.Ctx, tok.Digest()); err != nil || !slices.Equal(r.Roles, []string{"second"}) {
			t.Errorf("version %d has %v, %v", i+1, r.Roles, err)
		}
	}
	w.Must(k.Revoke(w.Ctx, w.Scope(), "CI_deploy"))
	for i, tok := range held {
		if w.IsAccepted(tok) {
			t.Errorf("version %d is good after its revocation", i+1)
		}
	}
}
