package controllers

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// places remembers who was let through to be issued and is not seen to be yet, so that many who come at once do not all
// get the last place of their client.
type places struct {
	mu    sync.Mutex
	taken map[types.UID]bool
}

// ahead counts the tokens of a client that have a place before this one: those that were issued, those that are about to
// be, and of those that wait the older ones. If that leaves a place, the token has it until settle.
func (p *places) ahead(ctx context.Context, reader client.Reader, at *v1alpha1.ApplicationToken, c *v1alpha1.Client) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list v1alpha1.ApplicationTokenList
	err := reader.List(ctx, &list, client.MatchingFields{IndexClient: c.Name},
		client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return 0, fmt.Errorf("list the tokens of Client %s: %w", c.Name, err)
	}
	count := 0
	for i := range list.Items {
		other := &list.Items[i]
		if placed(other) {
			delete(p.taken, other.UID) // it is seen
		}
		if other.UID != at.UID && (placed(other) || p.taken[other.UID] || waits(other) && older(other, at)) {
			count++
		}
	}
	if count < int(*c.Spec.Tokens.MaxCount) {
		if p.taken == nil {
			p.taken = map[types.UID]bool{}
		}
		p.taken[at.UID] = true
	}
	return count, nil
}

// settle gives the place back that a token did not use, at the end of a pass. One that was used is given back when the list
// shows it.
func (p *places) settle(at *v1alpha1.ApplicationToken) {
	if !placed(at) {
		p.forget(at)
	}
}

func (p *places) forget(at *v1alpha1.ApplicationToken) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, at.UID)
}
