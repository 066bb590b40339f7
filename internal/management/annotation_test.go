package management_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/testing/operatortest"
)

// Until the elected replica restores the annotation, every replica responds as if it were present.
func TestResponse_LostAnnotationIsNoObstacleToManagement(t *testing.T) {
	const key = "a key"
	loseRecord := func(at *v1alpha1.ApplicationToken) { delete(at.Annotations, v1alpha1.AnnotationRecord) }
	for sentence, c := range map[string]struct {
		lose        func(*v1alpha1.ApplicationToken)
		ask         func(w *fixture, k *operatortest.ManagementReplica, made management.Issued) (management.Issued, error)
		want        error
		planVersion int64
	}{
		"a repeated creation is refused": {loseRecord, func(w *fixture, k *operatortest.ManagementReplica, _ management.Issued) (management.Issued, error) {
			return k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
		}, management.ErrExists, 1},
		"a rotation makes a successor": {loseRecord, func(w *fixture, k *operatortest.ManagementReplica, _ management.Issued) (management.Issued, error) {
			return k.Rotate(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", "")
		}, nil, 2},
		"a rotation by the holder makes a successor where no annotation is left": {func(at *v1alpha1.ApplicationToken) { at.Annotations = nil }, func(w *fixture, k *operatortest.ManagementReplica, made management.Issued) (management.Issued, error) {
			return k.RotateOwn(w.Ctx, operatortest.RootCaller, made.Secret.Digest(), "")
		}, nil, 2},
		"a repeated clone replaces the token of the first response": {loseRecord, func(w *fixture, k *operatortest.ManagementReplica, _ management.Issued) (management.Issued, error) {
			return k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), "source", "CI_deploy", key)
		}, nil, 1},
		"a change is permitted by the end of the version": {loseRecord, func(w *fixture, k *operatortest.ManagementReplica, made management.Issued) (management.Issued, error) {
			by := management.Caller{ID: "peer", Authority: grant.Authority{Roles: []string{"primary"}, End: made.Token.ExpiresAt}}
			_, err := k.Change(w.Ctx, by, w.Scope(), "CI_deploy", management.Change{State: new("Active")})
			return management.Issued{}, err
		}, nil, 1},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			k := w.NewManagementReplica(api)
			_, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken(func(d *management.TokenSpec) { d.Name = "source" }))
			w.Must(err)
			made, err := k.Clone(w.Ctx, operatortest.RootCaller, w.Scope(), "source", "CI_deploy", key)
			w.Must(err)
			w.Must(w.NewOperator(api, api).SettleOwnNamespace())
			if strings.HasPrefix(sentence, "a change") {
				_, err := k.Change(w.Ctx, operatortest.RootCaller, w.Scope(), "CI_deploy", management.Change{State: new("Suspended")})
				w.Must(err)
			}
			at := w.ManagedObject(made.Token)
			c.lose(at)
			w.Must(api.Update(w.Ctx, at))
			w.Now = w.Now.Add(time.Minute)
			again, err := c.ask(w, k, made)
			if !errors.Is(err, c.want) {
				t.Fatalf("the error is %v, want %v", err, c.want)
			}
			held := made.Secret
			if again.Token.ID != "" {
				held = again.Secret
			}
			if !w.IsAccepted(held) {
				t.Error("the token of the last response is refused")
			}
			if r, err := w.Store().Find(w.Ctx, held.Digest()); err != nil || r.Version != c.planVersion {
				t.Errorf("it is version %d, want %d: %v", r.Version, c.planVersion, err)
			}
		})
	}
}

// A token is shown in the state of its record, even while the annotation that names the record is
// missing.
func TestResponse_LostAnnotationHidesNoRevocation(t *testing.T) {
	w := newFixture(t)
	k := w.NewManagementReplica(api)
	made, err := k.Create(w.Ctx, operatortest.RootCaller, w.Scope(), operatortest.CIToken())
	w.Must(err)
	w.Must(w.NewOperator(api, api).SettleOwnNamespace())
	at := w.ManagedObject(made.Token)
	delete(at.Annotations, v1alpha1.AnnotationRecord)
	w.Must(api.Update(w.Ctx, at))
	w.Must(api.Delete(w.Ctx, &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: w.OwnNamespace, Name: made.Token.ID}}))
	if shown, err := k.Get(w.Ctx, w.Scope(), "CI_deploy"); err != nil || shown.Ready {
		t.Errorf("without its record it is ready: %t, %v", shown.Ready, err)
	}
}
