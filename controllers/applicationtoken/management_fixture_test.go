package applicationtoken_test

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
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/management"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/record/recordtest"
	"github.com/apptoken/operator/internal/token"
)

// rootCaller is a caller that may create, change and receive every token.
var rootCaller = management.Caller{ID: "root", Subject: "root", CanEscalate: true}

// managementReplica is the management API of one replica, and what it reported.
type managementReplica struct {
	*management.Service
	mu     sync.Mutex
	ended  map[token.Digest]bool
	used   map[token.Digest]bool
	events *events.FakeRecorder
}

func (w *fixture) newManagementReplica(c client.WithWatch) *managementReplica {
	k := &managementReplica{ended: map[token.Digest]bool{}, used: map[token.Digest]bool{}, events: events.NewFakeRecorder(1 << 10)}
	k.Service = &management.Service{
		Client: byIndexes(w.t, c), Live: c, Records: kube.New(recordtest.Direct(c), c, w.ownNamespace), Quota: directory.NewQuota(w.ownNamespace), Namespace: w.ownNamespace, Entropy: rand.Reader, Events: k.events,
		Now:     func() time.Time { return w.now },
		Ended:   func(d token.Digest) { k.mu.Lock(); defer k.mu.Unlock(); k.ended[d] = true },
		WasUsed: func(d token.Digest) bool { k.mu.Lock(); defer k.mu.Unlock(); return k.used[d] },
	}
	return k
}

func (w *fixture) scope() management.Scope { return management.Scope{Client: w.clientName} }

// ciToken returns the token that tests create through the management API.
func ciToken(change ...func(*management.TokenSpec)) management.TokenSpec {
	wanted := management.TokenSpec{Name: "CI_deploy", Roles: []string{"primary"}, Lifetime: time.Hour}
	for _, c := range change {
		c(&wanted)
	}
	return wanted
}

// rotatedThrice creates a token that does not expire, rotates it three times, and returns its
// newest version.
func (w *fixture) rotatedThrice(k *managementReplica) management.Issued {
	w.t.Helper()
	made, err := k.Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Lifetime = 0 }))
	w.must(err)
	for range 3 {
		w.now = w.now.Add(10 * time.Minute)
		made, err = k.Rotate(w.ctx, rootCaller, w.scope(), "CI_deploy", "")
		w.must(err)
	}
	return made
}

// managedObject returns the object of a token that the management API created.
func (w *fixture) managedObject(t management.Token) *v1alpha1.ApplicationToken {
	w.t.Helper()
	var at v1alpha1.ApplicationToken
	w.must(api.Get(w.ctx, types.NamespacedName{Namespace: t.Namespace, Name: t.Object}, &at))
	return &at
}

// settleOwnNamespace runs the leader until everything in the operator's own namespace has settled.
func (o *operator) settleOwnNamespace() error {
	for range 40 {
		var list v1alpha1.ApplicationTokenList
		if err := api.List(o.w.ctx, &list, client.InNamespace(o.w.ownNamespace)); err != nil {
			return err
		}
		before, failed := o.w.resourceVersions(), false
		for i := range list.Items {
			_, err := o.tokens.Reconcile(o.w.ctx, &list.Items[i])
			failed = failed || err != nil
		}
		failed = o.pass() != nil || failed
		if !failed && o.w.resourceVersions() == before {
			return nil
		}
	}
	return errors.New("40 passes did not bring what was made to rest")
}

// resourceVersions returns the resource versions of all objects in the operator's own namespace.
func (w *fixture) resourceVersions() string {
	var tokens v1alpha1.ApplicationTokenList
	var records v1alpha1.TokenRecordList
	w.must(api.List(w.ctx, &tokens, client.InNamespace(w.ownNamespace)))
	w.must(api.List(w.ctx, &records, client.InNamespace(w.ownNamespace)))
	text := ""
	for i := range tokens.Items {
		text += tokens.Items[i].Name + tokens.Items[i].ResourceVersion + "\n"
	}
	for i := range records.Items {
		text += records.Items[i].Name + records.Items[i].ResourceVersion + "\n"
	}
	return text
}

// isAccepted reports whether verification would accept a token: it has a live record.
func (w *fixture) isAccepted(tok token.Token) bool {
	r, err := w.store().Find(w.ctx, tok.Digest())
	return err == nil && !r.Suspended && !r.IsOver(w.now)
}

// countVersions counts the records of the fixture: those without a successor, and the others.
func (w *fixture) countVersions() (current, before int) {
	w.t.Helper()
	var list v1alpha1.TokenRecordList
	w.must(api.List(w.ctx, &list, client.InNamespace(w.ownNamespace)))
	for i := range list.Items {
		if list.Items[i].Spec.SupersededAt == nil {
			current++
		} else {
			before++
		}
	}
	return current, before
}

// checkLastDelivered checks the end of a management test: the last token delivered is valid, and no
// other current version exists.
func (w *fixture) checkLastDelivered(last token.Token, before int) error {
	current, predecessors := w.countVersions()
	if current != 1 || predecessors != before {
		return fmt.Errorf("[4] %d versions stand and %d are superseded, not 1 and %d", current, predecessors, before)
	}
	if !w.isAccepted(last) {
		return errors.New("[2] the token that was answered is dead")
	}
	return nil
}
