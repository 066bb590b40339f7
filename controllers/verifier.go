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

// FeedClients returns the event handler of a watch on Clients that keeps the verifier and the
// directory up to date.
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

// clientFeed passes Clients on. An informer calls it for one Client at a time.
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

// show sets a client in the verifier, with the account ID that it holds: the ID that it asks for
// may be that of another client.
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

// FeedOwners returns the event handler of a watch on ApplicationTokens. It sets in the verifier
// which of them allow their credentials to be used, and whether their namespaces need a grant for
// it. It does not wait until the records show that: only the replica that reconciles writes them.
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

// FeedNamespaces returns the event handler of a watch on the metadata of namespaces. It sets their
// labels in the verifier, by which Clients grant.
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

// last returns the last state that a watch had of a deleted object.
func last(obj any) any {
	if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		return gone.Obj
	}
	return obj
}

// writeEvery is the interval at which last uses are written, within the budget.
const writeEvery = time.Second

// useDelay is how long after an outage of the API server replicas write the uses that they noted
// meanwhile. For that long after an outage, and after a term of leadership begins, no predecessor
// is taken for unused.
const useDelay = 10 * time.Second

// usesKnownFrom returns the instant at which the records hold the uses that replicas noted during
// an outage of the API server. It is useDelay after the begin of the term of leadership, or after
// the last outage that this replica observed if that is later. Before the term, another replica may
// have observed an outage. The zero time means that the records are complete.
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

// mostUses bounds how many uses are looked at in one go. If more wait, the next have their turn a
// second later.
const mostUses = 100_000

// Uses writes when and from where credentials were last used, as this replica observed it.
type Uses struct {
	Index     *verify.Index
	Records   *record.Kube
	PerSecond int // writes, at most
	Now       func() time.Time
	Closed    <-chan struct{} // closed when the endpoints are, after which there are no more uses
}

// NeedLeaderElection returns false: every replica writes the uses that it observed.
func (*Uses) NeedLeaderElection() bool { return false }

// Start writes uses until the endpoints are closed. The end of ctx does not stop it, since there
// are uses until then.
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
