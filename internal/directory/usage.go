package directory

import (
	"context"
	"errors"
	"time"

	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/verify"
)

// useWriteInterval is the interval at which last uses are written, within the budget.
const useWriteInterval = time.Second

// useDelay is how long after an outage of the API server replicas write the uses that they noted
// meanwhile. For that long after an outage, and after a term of leadership begins, no predecessor
// is taken for unused.
const useDelay = 10 * time.Second

// maxUses bounds how many uses one pass reads. The next pass reads the others a second later.
const maxUses = 100_000

// UsageWriter writes when and from where credentials were last used, as this replica observed it.
type UsageWriter struct {
	Index           *verify.Index
	Records         *kube.Store
	PerSecond       int // writes, at most
	Now             func() time.Time
	EndpointsClosed <-chan struct{} // closed once the endpoints are closed: there are no more uses then
}

// Start writes uses until the endpoints are closed. The end of ctx does not stop it, since there
// are uses until then.
func (u *UsageWriter) Start(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	tick := time.NewTicker(useWriteInterval)
	defer tick.Stop()
	for {
		select {
		case <-u.EndpointsClosed:
			ending, cancel := context.WithTimeout(ctx, useWriteInterval)
			defer cancel()
			u.Write(ending)
			return nil
		case <-tick.C:
			u.Write(ctx)
		}
	}
}

// NeedLeaderElection returns false: every replica writes the uses that it observed.
func (*UsageWriter) NeedLeaderElection() bool { return false }

// Write writes the uses that verify.PlanWrites chooses, and queues the others again.
func (u *UsageWriter) Write(ctx context.Context) {
	now, later := verify.PlanWrites(u.Now(), u.Index.TakeUses(maxUses), u.PerSecond)
	for _, use := range now {
		from := ""
		if use.From.IsValid() {
			from = use.From.String()
		}
		switch err := u.Records.Use(ctx, use.ID.String(), use.At, from); {
		case err == nil:
			use.MarkStored()
		case errors.Is(err, record.ErrGone):
		default:
			logf.FromContext(ctx).V(1).Info("a use is still to be written", "token", use.ID.String(), "error", err.Error())
			later = append(later, use)
		}
	}
	for _, use := range later {
		u.Index.RequeueUse(use)
	}
}

// UsesKnownFrom returns the instant at which the records hold the uses that replicas noted during
// an outage of the API server. It is useDelay after the term of leadership began, or after the last
// outage that this replica observed if that is later. Before the term, another replica may have
// observed an outage. The zero time means that the records are complete.
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
