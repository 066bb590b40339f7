package controllers_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/recordtest"
	"github.com/apptoken/operator/internal/token"
)

// root is a caller that may make, change and be shown every token.
var root = desk.Caller{ID: "root", Subject: "root", Escalates: true}

// counter is the desk of one replica, and what it was told.
type counter struct {
	*controllers.Desk
	mu    sync.Mutex
	ended map[token.Digest]bool
	used  map[token.Digest]bool
	said  *events.FakeRecorder
}

func (w *world) counter(c client.WithWatch) *counter {
	k := &counter{ended: map[token.Digest]bool{}, used: map[token.Digest]bool{}, said: events.NewFakeRecorder(1 << 10)}
	k.Desk = &controllers.Desk{
		Client: byIndexes(w.t, c), Live: c, Records: record.NewKube(recordtest.Direct(c), c, w.own), Quota: controllers.NewQuota(w.own), Namespace: w.own, Entropy: rand.Reader, Events: k.said,
		Now:   func() time.Time { return w.now },
		Ended: func(d token.Digest) { k.mu.Lock(); defer k.mu.Unlock(); k.ended[d] = true },
		Used:  func(d token.Digest) bool { k.mu.Lock(); defer k.mu.Unlock(); return k.used[d] },
	}
	return k
}

func (w *world) scope() desk.Scope { return desk.Scope{Client: w.client} }

// ci is the token that is asked for at the counter.
func ci(change ...func(*desk.Wanted)) desk.Wanted {
	wanted := desk.Wanted{Name: "CI_deploy", Roles: []string{"primary"}, Lifetime: time.Hour}
	for _, c := range change {
		c(&wanted)
	}
	return wanted
}

// rotatedThrice makes a token without an end, rotates it three times, and returns its newest version.
func (w *world) rotatedThrice(k *counter) desk.Issued {
	w.t.Helper()
	made, err := k.Create(w.ctx, root, w.scope(), ci(func(d *desk.Wanted) { d.Lifetime = 0 }))
	w.must(err)
	for range 3 {
		w.now = w.now.Add(10 * time.Minute)
		made, err = k.Rotate(w.ctx, root, w.scope(), "CI_deploy", "")
		w.must(err)
	}
	return made
}

// made is an object that the desk made.
func (w *world) made(t desk.Token) *v1alpha1.ApplicationToken {
	w.t.Helper()
	var at v1alpha1.ApplicationToken
	w.must(api.Get(w.ctx, types.NamespacedName{Namespace: t.Namespace, Name: t.Object}, &at))
	return &at
}

// lookAfter lets the leader bring everything in the operator's own namespace to rest.
func (o *operator) lookAfter() error {
	for range 40 {
		var list v1alpha1.ApplicationTokenList
		if err := api.List(o.w.ctx, &list, client.InNamespace(o.w.own)); err != nil {
			return err
		}
		before, failed := o.w.state(), false
		for i := range list.Items {
			_, err := o.tokens.Reconcile(o.w.ctx, &list.Items[i])
			failed = failed || err != nil
		}
		failed = o.pass() != nil || failed
		if !failed && o.w.state() == before {
			return nil
		}
	}
	return errors.New("40 passes did not bring what was made to rest")
}

// state is the resource versions of all that is in the operator's own namespace.
func (w *world) state() string {
	var tokens v1alpha1.ApplicationTokenList
	var records v1alpha1.TokenRecordList
	w.must(api.List(w.ctx, &tokens, client.InNamespace(w.own)))
	w.must(api.List(w.ctx, &records, client.InNamespace(w.own)))
	text := ""
	for i := range tokens.Items {
		text += tokens.Items[i].Name + tokens.Items[i].ResourceVersion + "\n"
	}
	for i := range records.Items {
		text += records.Items[i].Name + records.Items[i].ResourceVersion + "\n"
	}
	return text
}

// good says whether a plaintext would be accepted: a live record vouches for it.
func (w *world) good(tok token.Token) bool {
	r, err := w.store().Find(w.ctx, tok.Digest())
	return err == nil && !r.Suspended && !r.Over(w.now)
}

// standing counts the records of the world: those that no successor took over from, and the others.
func (w *world) standing() (current, before int) {
	w.t.Helper()
	var list v1alpha1.TokenRecordList
	w.must(api.List(w.ctx, &list, client.InNamespace(w.own)))
	for i := range list.Items {
		if list.Items[i].Spec.SupersededAt == nil {
			current++
		} else {
			before++
		}
	}
	return current, before
}

// arrivedAt judges the end of a story of the desk: of what was answered the last is good, and nothing else stands.
func (w *world) arrivedAt(last token.Token, before int) error {
	current, predecessors := w.standing()
	if current != 1 || predecessors != before {
		return fmt.Errorf("[4] %d versions stand and %d are superseded, not 1 and %d", current, predecessors, before)
	}
	if !w.good(last) {
		return errors.New("[2] the token that was answered is dead")
	}
	return nil
}
