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
	mu          sync.Mutex
	endedTokens map[token.Digest]bool
	used        map[token.Digest]bool
	recorder    *events.FakeRecorder
}

func (w *fixture) newManagementReplica(c client.WithWatch) *managementReplica {
	k := &managementReplica{endedTokens: map[token.Digest]bool{}, used: map[token.Digest]bool{}, recorder: events.NewFakeRecorder(1 << 10)}
	k.Service = &management.Service{
		Client: byIndexes(w.t, c), Live: c, Records: kube.New(recordtest.Direct(c), c, w.ownNamespace), Quota: directory.NewQuota(w.ownNamespace), Namespace: w.ownNamespace, Entropy: rand.Reader, Events: k.recorder,
		Now:     func() time.Time { return w.now },
		Ended:   func(d token.Digest) { k.mu.Lock(); defer k.mu.Unlock(); k.endedTokens[d] = true },
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

// managedObject returns the object of a token that the management API created.
func (w *fixture) managedObject(t management.Token) *v1alpha1.ApplicationToken {
	w.t.Helper()
	var at v1alpha1.ApplicationToken
	w.must(api.Get(w.ctx, types.NamespacedName{Namespace: t.Namespace, Name: t.Object}, &at))
	return &at
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

// markUsed records that a replica has observed a token in use.
func (k *managementReplica) markUsed(tok token.Token) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used[tok.Digest()] = true
}

// createConcurrently creates so many tokens at once, each through the next of the replicas.
func (w *fixture) createConcurrently(n int, replicas []*managementReplica) (made []management.Issued, errs []error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			one, err := replicas[i%len(replicas)].Create(w.ctx, rootCaller, w.scope(), ciToken(func(d *management.TokenSpec) { d.Name = fmt.Sprintf("ci-%02d", i) }))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else {
				made = append(made, one)
			}
		})
	}
	all.Wait()
	return made, errs
}

func (w *fixture) countAccepted(all []management.Issued) (n int) {
	for _, one := range all {
		if w.isAccepted(one.Secret) {
			n++
		}
	}
	return n
}
