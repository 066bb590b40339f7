package directory

import (
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/tokenspec"
	"github.com/apptoken/operator/internal/verify"
)

// NewClientHandler returns the event handler of a watch on Clients that keeps the verifier and the
// directory up to date.
func NewClientHandler(x *verify.Index, d *login.Directory) toolscache.ResourceEventHandler {
	h := &clientHandler{index: x, directory: d, clients: map[string]verify.Client{}}
	set := func(obj any) {
		if c, ok := obj.(*v1alpha1.Client); ok {
			h.setClient(c)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if c, ok := lastKnownState(obj).(*v1alpha1.Client); ok {
				h.removeClient(c.Name)
			}
		},
	}
}

// clientHandler passes Clients to the verifier and the directory. An informer calls it for one
// Client at a time.
type clientHandler struct {
	index     *verify.Index
	directory *login.Directory
	clients   map[string]verify.Client // by name, with the account ID that each asks for
}

func (h *clientHandler) setClient(c *v1alpha1.Client) {
	logins := LoginPolicyOf(c)
	before := h.clients[c.Name].AccountID
	h.clients[c.Name] = verify.Client{
		Name:               c.Name,
		AccountID:          logins.AccountID,
		Suspended:          c.Spec.State != v1alpha1.StateActive || !c.DeletionTimestamp.IsZero(),
		Ceiling:            tokenspec.Ceiling(c),
		Ranges:             verify.ParseRanges(tokenspec.SortedStrings(c.Spec.Tokens.SourceRanges)),
		MaxSessionLifetime: logins.MaxSessionLifetime,
		AllowsBasic:        c.Spec.Logins.Basic == v1alpha1.BasicAllow,
		Draw: func(namespace string, labels map[string]string) ([]string, bool) {
			return tokenspec.DrawableRoles(c, namespace, labels)
		},
	}
	h.directory.SetClient(logins)
	h.publishClient(c.Name)
	h.publishRivals(c.Name, before, logins.AccountID)
}

func (h *clientHandler) removeClient(name string) {
	before := h.clients[name].AccountID
	delete(h.clients, name)
	h.index.RemoveClient(name)
	h.directory.RemoveClient(name)
	h.publishRivals(name, before)
}

// publishClient sets a client in the verifier, with the account ID that it holds: the ID that it
// asks for may be that of another client.
func (h *clientHandler) publishClient(name string) {
	c := h.clients[name]
	logins, _ := h.directory.Client(name)
	c.AccountID = logins.AccountID
	h.index.SetClient(c)
}

// publishRivals publishes the other clients that ask for one of the account IDs: the holder may
// have changed.
func (h *clientHandler) publishRivals(name string, ids ...int64) {
	for _, id := range ids {
		for _, rival := range h.directory.ClientsByAccountID(id) {
			if rival != name {
				h.publishClient(rival)
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
