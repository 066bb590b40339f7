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
	"github.com/apptoken/operator/internal/grant"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// What the API server is told of tokens that nobody gave in an answer.
func TestAResponseThatNeverArrived(t *testing.T) {
	w := newWorld(t)
	at := &v1alpha1.ApplicationToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: "by-hand"},
		Spec: v1alpha1.ApplicationTokenSpec{
			ClientRef: &v1alpha1.Reference{Name: v1alpha1.ObjectName(w.client)}, Delivery: v1alpha1.DeliveryResponse,
		},
	}
	w.must(api.Create(w.ctx, at))
	shown := desk.Token{Namespace: w.own, Object: "by-hand"}
	w.now = at.CreationTimestamp.Time
	o := w.start(api, api)
	w.must(o.lookAfter())
	if reason, _ := readiness(w.made(shown)); reason != "" {
		t.Errorf("at once it is %s", reason)
	}
	w.now = w.now.Add(plan.AnswerTime)
	w.must(o.lookAfter())
	if reason, _ := readiness(w.made(shown)); reason != v1alpha1.ReasonUndelivered || w.recordsLeft() > 0 {
		t.Errorf("later it is %s, and there are %d records", reason, w.recordsLeft())
	}
	for field, change := range map[string]func(*v1alpha1.Rotation){
		"every": func(r *v1alpha1.Rotation) { r.Every = "1h" }, "schedule": func(r *v1alpha1.Rotation) { r.Schedule = "@daily" },
		"trigger": func(r *v1alpha1.Rotation) { r.Trigger = "1" },
	} {
		now := w.made(shown)
		now.Spec.Rotation = v1alpha1.Rotation{}
		change(&now.Spec.Rotation)
		w.must(api.Update(w.ctx, now))
		w.must(o.lookAfter())
		if reason, message := readiness(w.made(shown)); reason != v1alpha1.ReasonInvalidSpec || !strings.Contains(message, "through the HTTP API") {
			t.Errorf("with %s it is %s: %s", field, reason, message)
		}
	}
}

func TestTheSweepTakesWhatNobodyWasToldOf(t *testing.T) {
	w := newWorld(t)
	k := w.counter(api)
	made, err := k.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Lifetime = 0 }))
	w.must(err)
	o := w.start(api, api)
	w.must(o.lookAfter())
	orphan, err := w.store().Add(w.ctx, func() record.Record {
		r := w.newest()
		tok, err := token.Mint(token.Application, k.Entropy)
		w.must(err)
		r.Digest, r.Version, r.Predecessor = tok.Digest(), 2, r.Name()
		return record.Record{Kind: r.Kind, Digest: r.Digest, Owner: r.Owner, Client: r.Client, Roles: r.Roles, IssuedAt: w.now, Version: 2, Predecessor: r.Predecessor}
	}())
	w.must(err)
	w.must(o.lookAfter())
	if n := w.recordsLeft(); n != 2 {
		t.Fatalf("what may be on its way is gone: %d records", n)
	}
	w.now = w.now.Add(2 * plan.LitterAge)
	w.must(o.lookAfter())
	w.must(w.arrivedAt(made.Secret, 0))
	if _, err := w.store().Get(w.ctx, orphan.Name()); !errors.Is(err, record.ErrGone) {
		t.Errorf("[4] the orphan: %v", err)
	}
	at := w.made(made.Token)
	at.Finalizers = nil
	w.must(api.Update(w.ctx, at))
	w.must(api.Delete(w.ctx, at))
	w.must(o.lookAfter())
	if n := w.recordsLeft(); n != 0 {
		t.Errorf("without an owner %d records are left", n)
	}
}

// A tool that replaces the ApplicationToken takes the annotation off by which it names its record.
func TestResponse_LostAnnotationIsPutBack(t *testing.T) {
	w := newWorld(t)
	k := w.counter(api)
	made, err := k.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Lifetime = 0 }))
	w.must(err)
	o := w.start(api, api)
	w.must(o.lookAfter())
	at := w.made(made.Token)
	named := at.Annotations[v1alpha1.AnnotationRecord]
	delete(at.Annotations, v1alpha1.AnnotationRecord)
	w.must(api.Update(w.ctx, at))
	w.now = w.now.Add(2 * plan.LitterAge)
	var obj v1alpha1.TokenRecord
	w.must(api.Get(w.ctx, types.NamespacedName{Namespace: w.own, Name: named}, &obj))
	_, err = o.records.Reconcile(w.ctx, &obj)
	w.must(err)
	w.must(o.lookAfter())
	w.must(w.arrivedAt(made.Secret, 0))
	if at := w.made(made.Token); at.Annotations[v1alpha1.AnnotationRecord] != named {
		t.Errorf("it names record %q, not %q", at.Annotations[v1alpha1.AnnotationRecord], named)
	}
}

// Until the elected replica puts the annotation back, every replica answers as if it were there.
func TestResponse_LostAnnotationIsNoObstacleToManagement(t *testing.T) {
	const key = "a key"
	loseRecord := func(at *v1alpha1.ApplicationToken) { delete(at.Annotations, v1alpha1.AnnotationRecord) }
	for sentence, c := range map[string]struct {
		lose    func(*v1alpha1.ApplicationToken)
		ask     func(w *world, k *counter, made desk.Issued) (desk.Issued, error)
		want    error
		version int64
	}{
		"a repeated creation is refused": {loseRecord, func(w *world, k *counter, _ desk.Issued) (desk.Issued, error) {
			return k.Create(w.ctx, root, w.scope(), ci())
		}, desk.ErrTaken, 1},
		"a rotation makes a successor": {loseRecord, func(w *world, k *counter, _ desk.Issued) (desk.Issued, error) {
			return k.Rotate(w.ctx, root, w.scope(), "CI_deploy", "")
		}, nil, 2},
		"a rotation by the holder makes a successor where no annotation is left": {func(at *v1alpha1.ApplicationToken) { at.Annotations = nil }, func(w *world, k *counter, made desk.Issued) (desk.Issued, error) {
			return k.RotateOwn(w.ctx, root, made.Secret.Digest(), "")
		}, nil, 2},
		"a repeated clone replaces the answer": {loseRecord, func(w *world, k *counter, _ desk.Issued) (desk.Issued, error) {
			return k.Clone(w.ctx, root, w.scope(), "source", "CI_deploy", key)
		}, nil, 1},
		"a change is permitted by the end of the version": {loseRecord, func(w *world, k *counter, made desk.Issued) (desk.Issued, error) {
			by := desk.Caller{ID: "peer", Holds: grant.Authority{Roles: []string{"primary"}, End: made.Token.ExpiresAt}}
			_, err := k.Change(w.ctx, by, w.scope(), "CI_deploy", desk.Change{State: new("Active")})
			return desk.Issued{}, err
		}, nil, 1},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			k := w.counter(api)
			_, err := k.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Name = "source" }))
			w.must(err)
			made, err := k.Clone(w.ctx, root, w.scope(), "source", "CI_deploy", key)
			w.must(err)
			w.must(w.start(api, api).lookAfter())
			if strings.HasPrefix(sentence, "a change") {
				_, err := k.Change(w.ctx, root, w.scope(), "CI_deploy", desk.Change{State: new("Suspended")})
				w.must(err)
			}
			at := w.made(made.Token)
			c.lose(at)
			w.must(api.Update(w.ctx, at))
			w.now = w.now.Add(time.Minute)
			again, err := c.ask(w, k, made)
			if !errors.Is(err, c.want) {
				t.Fatalf("the answer is %v, want %v", err, c.want)
			}
			held := made.Secret
			if again.Token.ID != "" {
				held = again.Secret
			}
			if !w.good(held) {
				t.Error("the token that was answered last is refused")
			}
			if r, err := w.store().Find(w.ctx, held.Digest()); err != nil || r.Version != c.version {
				t.Errorf("it is version %d, want %d: %v", r.Version, c.version, err)
			}
		})
	}
}

// A token is shown as its record says, also while the annotation that names the record is missing.
func TestResponse_LostAnnotationHidesNoRevocation(t *testing.T) {
	w := newWorld(t)
	k := w.counter(api)
	made, err := k.Create(w.ctx, root, w.scope(), ci())
	w.must(err)
	w.must(w.start(api, api).lookAfter())
	at := w.made(made.Token)
	delete(at.Annotations, v1alpha1.AnnotationRecord)
	w.must(api.Update(w.ctx, at))
	w.must(api.Delete(w.ctx, &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: made.Token.ID}}))
	if shown, err := k.Get(w.ctx, w.scope(), "CI_deploy"); err != nil || shown.Ready {
		t.Errorf("without its record it is ready: %t, %v", shown.Ready, err)
	}
}
