package controllers

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/verify"
)

// FeedClients returns the handler of a watch on Clients that tells the verifier and the directory of each as it is.
func FeedClients(x *verify.Index, d *login.Directory) toolscache.ResourceEventHandler {
	f := &clientFeed{index: x, directory: d, clients: map[string]verify.Client{}}
	set := func(obj any) {
		if c, ok := obj.(*v1alpha1.Client); ok {
			f.set(c)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if c, ok := last(obj).(*v1alpha1.Client); ok {
				f.remove(c.Name)
			}
		},
	}
}

// clientFeed tells of Clients. An informer calls it for one at a time.
type clientFeed struct {
	index     *verify.Index
	directory *login.Directory
	clients   map[string]verify.Client // by name, with the account ID that each asks for
}

func (f *clientFeed) set(c *v1alpha1.Client) {
	logins := loginsOf(c)
	before := f.clients[c.Name].AccountID
	f.clients[c.Name] = verify.Client{
		Name:       c.Name,
		AccountID:  logins.AccountID,
		Suspended:  c.Spec.State != v1alpha1.StateActive || !c.DeletionTimestamp.IsZero(),
		Ceiling:    ceiling(c),
		Ranges:     verify.Ranges(sorted(c.Spec.Tokens.SourceRanges)),
		MaxSession: logins.MaxSession,
		Draw: func(namespace string, labels map[string]string) ([]string, bool) {
			return drawable(c, namespace, labels)
		},
	}
	f.directory.SetClient(logins)
	f.show(c.Name)
	f.showRivals(c.Name, before, logins.AccountID)
}

func (f *clientFeed) remove(name string) {
	before := f.clients[name].AccountID
	delete(f.clients, name)
	f.index.RemoveClient(name)
	f.directory.RemoveClient(name)
	f.showRivals(name, before)
}

// show tells the verifier of a client, with the account ID that it has: what it asks for may be that of another.
func (f *clientFeed) show(name string) {
	c := f.clients[name]
	logins, _ := f.directory.Client(name)
	c.AccountID = logins.AccountID
	f.index.SetClient(c)
}

func (f *clientFeed) showRivals(name string, ids ...int64) {
	for _, id := range ids {
		for _, rival := range f.directory.ClientsOf(id) {
			if rival != name {
				f.show(rival)
			}
		}
	}
}

// FeedOwners returns the handler of a watch on ApplicationTokens that tells the verifier which of them let their credentials
// be used, and whether their namespaces need a grant for it. It does not wait until their records say so, which is for the
// one replica that reconciles to write.
func FeedOwners(x *verify.Index, own string) toolscache.ResourceEventHandler {
	set := func(obj any) {
		at, ok := obj.(*v1alpha1.ApplicationToken)
		switch {
		case !ok:
		case !at.DeletionTimestamp.IsZero() || at.Spec.State != v1alpha1.TokenActive:
			x.Stop(owner(at))
		case byAnswer(at, own):
			x.ResumeExempt(owner(at))
		default:
			x.Resume(owner(at))
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if at, ok := last(obj).(*v1alpha1.ApplicationToken); ok {
				x.Stop(owner(at))
			}
		},
	}
}

// FeedNamespaces returns the handler of a watch on the metadata of namespaces that tells the verifier of their labels, by which
// Clients grant.
func FeedNamespaces(x *verify.Index) toolscache.ResourceEventHandler {
	set := func(obj any) {
		if ns, ok := obj.(*metav1.PartialObjectMetadata); ok {
			x.SetNamespace(ns.Name, ns.Labels)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if ns, ok := last(obj).(*metav1.PartialObjectMetadata); ok {
				x.RemoveNamespace(ns.Name)
			}
		},
	}
}

// last is what a watch last knew of an object that is gone.
func last(obj any) any {
	if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		return gone.Obj
	}
	return obj
}

// writeEvery is how often last uses are written, within the budget.
const writeEvery = time.Second

// useDelay is how long after an outage of the API server replicas write the uses that they noted
// meanwhile. For so long after one, and after the begin of a term, no predecessor is taken for
// unused.
const useDelay = 10 * time.Second

// usesKnownFrom returns from when on the records have the uses that replicas noted while the API
// server was away: useDelay after the begin of a term, before which another replica may have seen
// an outage, and after the last outage that this replica saw. Zero: they have.
func usesKnownFrom(began time.Time, lastOutage func() time.Time) time.Time {
	last := began
	if lastOutage != nil {
		if outage := lastOutage(); outage.After(last) {
			last = outage
		}
	}
	if last.IsZero() {
		return time.Time{}
	}
	return last.Add(useDelay)
}

// mostUses are looked at in one go. Where more wait, the next have their turn a second later.
const mostUses = 100_000

// Uses writes when and from where credentials were last used, as this replica saw it.
type Uses struct {
	Index     *verify.Index
	Records   *record.Kube
	PerSecond int // writes, at most
	Now       func() time.Time
	Closed    <-chan struct{} // the doors, after which there are no more uses
}

// NeedLeaderElection says that every replica writes what it saw.
func (*Uses) NeedLeaderElection() bool { return false }

// Start writes until ctx ends and the doors are closed.
func (u *Uses) Start(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-u.Closed:
			ending, cancel := context.WithTimeout(ctx, writeEvery)
			defer cancel()
			u.Write(ending)
			return nil
		case <-tick.C:
			u.Write(ctx)
		}
	}
}

// Write writes the uses that come first. The others keep their turn.
func (u *Uses) Write(ctx context.Context) {
	now, later := verify.Next(u.Now(), u.Index.Used(mostUses), u.PerSecond)
	for _, use := range now {
		from := ""
		if use.From.IsValid() {
			from = use.From.String()
		}
		switch err := u.Records.Use(ctx, use.ID.String(), use.At, from); {
		case err == nil:
			use.Stored()
		case errors.Is(err, record.ErrGone):
		default:
			logf.FromContext(ctx).V(1).Info("a use is still to be written", "token", use.ID.String(), "error", err.Error())
			later = append(later, use)
		}
	}
	for _, use := range later {
		u.Index.Again(use)
	}
}
