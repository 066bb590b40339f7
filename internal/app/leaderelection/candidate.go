package leaderelection

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/leaderelection"
)

// leadership runs the reconcilers while this replica holds the Lease. A term ends when the Lease is
// lost or a reconciler fails. The replica continues to verify, and competes for the next term in
// the same process.
//
//	competing --Lease acquired--> leading --Lease lost, or a reconciler failed--> competing
type leadership struct {
	lock *lease                          // nil: this is the only replica, and it always leads
	term func(ctx context.Context) error // runs the reconcilers until all of them have ended
	log  logr.Logger

	leading atomic.Bool
}

// NeedLeaderElection returns false: every replica competes.
func (*leadership) NeedLeaderElection() bool { return false }

// Start competes and leads until ctx ends. A failed term does not end the process, which would
// close the endpoints.
func (l *leadership) Start(ctx context.Context) error {
	for {
		if err := l.compete(ctx); err != nil {
			l.log.Error(err, "the reconcilers failed; starting them again")
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
func (l *leadership) compete(ctx context.Context) error {
	if l.lock == nil {
		return l.lead(ctx, context.WithoutCancel(ctx))
	}
	held, lose := context.WithCancel(context.WithoutCancel(ctx))
	defer lose()
	l.lock.onLost = lose
	won := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: l.lock, Name: leaseName, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: leaseRetry,
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
		return fmt.Errorf("prepare leader election: %w", err)
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
		l.lock.release(ctx)
	}()
	select {
	case <-ctx.Done():
		return nil
	case <-won:
		return l.lead(ctx, held)
	}
}

// lead runs the reconcilers until ctx ends, the Lease is no longer held, or a reconciler fails.
func (l *leadership) lead(ctx, held context.Context) error {
	reconciling, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(held, stop)()
	l.log.Info("this replica leads: starting the reconcilers")
	l.leading.Store(true)
	err := l.term(reconciling)
	l.leading.Store(false)
	switch {
	case ctx.Err() != nil:
		return nil
	case held.Err() != nil:
		l.log.Info("lost the Lease: this replica has stopped reconciling, still verifies, and competes for the Lease again")
		return nil
	}
	return err
}
