package directory

import (
	"time"

	toolscache "k8s.io/client-go/tools/cache"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/tokenspec"
	"github.com/apptoken/operator/internal/verify"
)

// NewClientHandler returns the event handler of a watch on Clients that keeps the verifier and the
// directory up to date.
func NewClientHandler(x *verify.Index, d *login.Directory) toolscache.ResourceEventHandler {
	f := &clientHandler{index: x, directory: d, clients: map[string]verify.Client{}}
	set := func(obj any) {
		if c, ok := obj.(*v1alpha1.Client); ok {
			f.setClient(c)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if c, ok := lastKnownState(obj).(*v1alpha1.Client); ok {
				f.removeClient(c.Name)
			}
		},
	}
}

// clientHandler passes Clients on. An informer calls it for one Client at a time.
type clientHandler struct {
	index     *verify.Index
	directory *login.Directory
	clients   map[string]verify.Client // by name, with the account ID that each asks for
}

func (f *clientHandler) setClient(c *v1alpha1.Client) {
	logins := LoginPolicyOf(c)
	before := f.clients[c.Name].AccountID
	f.clients[c.Name] = verify.Client{
		Name:               c.Name,
		AccountID:          logins.AccountID,
		Suspended:          c.Spec.State != v1alpha1.StateActive || !c.DeletionTimestamp.IsZero(),
		Ceiling:            tokenspec.Ceiling(c),
		Ranges:             verify.ParseRanges(tokenspec.SortedStrings(c.Spec.Tokens.SourceRanges)),
		MaxSessionLifetime: logins.MaxSessionLifetime,
		Draw: func(namespace string, labels map[string]string) ([]string, bool) {
			return tokenspec.DrawableRoles(c, namespace, labels)
		},
	}
	f.directory.SetClient(logins)
	f.publishClient(c.Name)
	f.publishRivals(c.Name, before, logins.AccountID)
}

func (f *clientHandler) removeClient(name string) {
	before := f.clients[name].AccountID
	delete(f.clients, name)
	f.index.RemoveClient(name)
	f.directory.RemoveClient(name)
	f.publishRivals(name, before)
}

// publishClient sets a client in the verifier, with the account ID that it holds: the ID that it
// asks for may be that of another client.
func (f *clientHandler) publishClient(name string) {
	c := f.clients[name]
	logins, _ := f.directory.Client(name)
	c.AccountID = logins.AccountID
	f.index.SetClient(c)
}

func (f *clientHandler) publishRivals(name string, ids ...int64) {
	for _, id := range ids {
		for _, rival := range f.directory.ClientsByAccountID(id) {
			if rival != name {
				f.publishClient(rival)
			}
		}
	}
}

// lastKnownState returns the last state that a watch had of a deleted object.
func lastKnownState(obj any) any {
	if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		return gone.Obj
	}
	return obj
}

// UsesKnownFrom returns the instant at which the records hold the uses that replicas noted during
// an outage of the API server. It is useDelay after the begin of the term of leadership, or after
// the last outage that this replica observed if that is later. Before the term, another replica may
// have observed an outage. The zero time means that the records are complete.
func UsesKnownFrom(began time.Time, lastOutage func() time.Time) time.Time {
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

// NeedLeaderElection returns false: every replica writes the uses that it observed.
func (*UsageWriter) NeedLeaderElection() bool { return false }
