package operatortest

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

// RootCaller is a caller that may create, change and receive every token.
var RootCaller = management.Caller{ID: "root", Subject: "root", CanEscalate: true}

// ManagementReplica is the management API of one replica, and what it reported.
type ManagementReplica struct {
	*management.Service
	mu          sync.Mutex
	EndedTokens map[token.Digest]bool
	used        map[token.Digest]bool
	Recorder    *events.FakeRecorder
}

// NewManagementReplica returns the management API of another replica, which reads and writes
// through c.
func (w *Fixture) NewManagementReplica(c client.WithWatch) *ManagementReplica {
	k := &ManagementReplica{EndedTokens: map[token.Digest]bool{}, used: map[token.Digest]bool{}, Recorder: events.NewFakeRecorder(1 << 10)}
	k.Service = &management.Service{
		Client: ByIndexes(w.T, c), Live: c, Records: kube.New(recordtest.Direct(c), c, w.OwnNamespace), Quota: directory.NewQuota(w.OwnNamespace), Namespace: w.OwnNamespace, Entropy: rand.Reader, Events: k.Recorder,
		Now:     func() time.Time { return w.Now },
		Ended:   func(d token.Digest) { k.mu.Lock(); defer k.mu.Unlock(); k.EndedTokens[d] = true },
		WasUsed: func(d token.Digest) bool { k.mu.Lock(); defer k.mu.Unlock(); return k.used[d] },
	}
	return k
}

// Scope returns the scope of the tokens of the Client.
func (w *Fixture) Scope() management.Scope { return management.Scope{Client: w.ClientName} }

// CIToken returns the token that tests create through the management API.
func CIToken(change ...func(*management.TokenSpec)) management.TokenSpec {
	wanted := management.TokenSpec{Name: "CI_deploy", Roles: []string{"primary"}, Lifetime: time.Hour}
	for _, c := range change {
		c(&wanted)
	}
	return wanted
}

// ManagedObject returns the object of a token that the management API created.
func (w *Fixture) ManagedObject(t management.Token) *v1alpha1.ApplicationToken {
	w.T.Helper()
	var at v1alpha1.ApplicationToken
	w.Must(w.api.Get(w.Ctx, types.NamespacedName{Namespace: t.Namespace, Name: t.Object}, &at))
	return &at
}

// IsAccepted reports whether verification would accept a token: it has a live record.
func (w *Fixture) IsAccepted(tok token.Token) bool {
	r, err := w.Store().Find(w.Ctx, tok.Digest())
	return err == nil && !r.Suspended && !r.IsOver(w.Now)
}

// CountVersions counts the records of the fixture: those without a successor, and the others.
func (w *Fixture) CountVersions() (current, before int) {
	w.T.Helper()
	var list v1alpha1.TokenRecordList
	w.Must(w.api.List(w.Ctx, &list, client.InNamespace(w.OwnNamespace)))
	for i := range list.Items {
		if list.Items[i].Spec.SupersededAt == nil {
			current++
		} else {
			before++
		}
	}
	return current, before
}

// CheckLastDelivered checks the end of a management test: the last token delivered is valid, and no
// other current version exists.
func (w *Fixture) CheckLastDelivered(last token.Token, before int) error {
	current, predecessors := w.CountVersions()
	if current != 1 || predecessors != before {
		return fmt.Errorf("[4] %d versions stand and %d are superseded, not 1 and %d", current, predecessors, before)
	}
	if !w.IsAccepted(last) {
		return errors.New("[2] the token that was delivered last is not accepted")
	}
	return nil
}

// MarkUsed records that a replica has observed a token in use.
func (k *ManagementReplica) MarkUsed(tok token.Token) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used[tok.Digest()] = true
}

// CreateConcurrently creates so many tokens at once, each through the next of the replicas.
func (w *Fixture) CreateConcurrently(n int, replicas []*ManagementReplica) (made []management.Issued, errs []error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			one, err := replicas[i%len(replicas)].Create(w.Ctx, RootCaller, w.Scope(), CIToken(func(d *management.TokenSpec) { d.Name = fmt.Sprintf("ci-%02d", i) }))
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

// CountAccepted counts the tokens that verification would accept.
func (w *Fixture) CountAccepted(all []management.Issued) (n int) {
	for _, one := range all {
		if w.IsAccepted(one.Secret) {
			n++
		}
	}
	return n
}
