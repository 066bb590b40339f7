package leaderelection

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/leaderelection"
)

// Candidate runs the reconcilers while this replica holds the Lease. A term ends when the Lease is
// lost or a reconciler fails. The replica continues to verify, and competes for the next term in
// the same process.
type Candidate struct {
	// Lease is the object of the competition; nil: this is the only replica, and it always leads.
	Lease *Lease
	// RunTerm runs the reconcilers until all of them have ended.
	RunTerm func(ctx context.Context) error
	Log     logr.Logger

	isLeading atomic.Bool
}

// IsLeading reports whether this replica reconciles.
func (c *Candidate) IsLeading() bool { return c.isLeading.Load() }

// NeedLeaderElection returns false: every replica competes.
func (*Candidate) NeedLeaderElection() bool { return false }

// Start competes and leads until ctx ends. A failed term does not end the process, which would
// close the endpoints.
func (c *Candidate) Start(ctx context.Context) error {
	for {
		if err := c.compete(ctx); err != nil {
			c.Log.Error(err, "the reconcilers failed; starting them again")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(leaseRetry):
		}
	}
}

// compete waits for the Lease, leads for one term, and releases the Lease once the reconcilers have
// ended.
func (c *Candidate) compete(ctx context.Context) error {
	if c.Lease == nil {
		return c.lead(ctx, context.WithoutCancel(ctx))
	}
	held, lose := context.WithCancel(context.WithoutCancel(ctx))
	defer lose()
	c.Lease.onLost = lose
	won := make(chan struct{})
	elector, err := c.newElector(lose, won)
	if err != nil {
		return err
	}
	// The election ends after the reconcilers, not with ctx, so that the Lease is held until the
	// last write. The elector's log is discarded: it repeats itself at each attempt. The Lease and
	// this type log the changes.
	electing, stop := context.WithCancel(logr.NewContext(context.WithoutCancel(ctx), logr.Discard()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(electing)
	}()
	defer func() {
		stop()
		<-ended
		c.Lease.release(ctx)
	}()
	select {
	case <-ctx.Done():
		return nil
	case <-won:
		return c.lead(ctx, held)
	}
}

// newElector returns an elector that closes won once it holds the Lease, and calls lose when it
// ends.
func (c *Candidate) newElector(lose func(), won chan<- struct{}) (*leaderelection.LeaderElector, error) {
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: c.Lease, Name: LeaseName, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: leaseRetry,
		// The elector would release a Lease that it could not renew while reconcilers still run.
		ReleaseOnCancel: false,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				context.AfterFunc(leading, lose)
				close(won)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare leader election: %w", err)
	}
	return elector, nil
}

// lead runs the reconcilers until ctx ends, the Lease is no longer held, or a reconciler fails.
func (c *Candidate) lead(ctx, held context.Context) error {
	reconciling, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(held, stop)()
	c.Log.Info("this replica leads: starting the reconcilers")
	c.isLeading.Store(true)
	err := c.RunTerm(reconciling)
	c.isLeading.Store(false)
	switch {
	case ctx.Err() != nil:
		return nil
	case held.Err() != nil:
		c.Log.Info("lost the Lease: this replica has stopped reconciling, still verifies, and competes for the Lease again")
		return nil
	}
	return err
}
