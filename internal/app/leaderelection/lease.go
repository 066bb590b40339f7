package leaderelection

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// LeaseName is the name of the Lease that the replicas compete for.
const LeaseName = "apptoken-operator"

// Times of the Lease. Losing it stops the reconcilers and nothing else, so these are shorter than
// the defaults of Kubernetes components. After the leader was killed, another replica leads within
// leaseDuration and the pauses between two attempts.
//
// A leader gives up before its Lease expires: after the last renewal is stored, at most one
// response time, leaseRetry and renewDeadline pass. The rest of leaseDuration is for the
// reconcilers to end.
const (
	leaseDuration = 8 * time.Second
	renewDeadline = 4 * time.Second
	leaseRetry    = time.Second
	leaseTimeout  = renewDeadline / 2 // of one request
)

// Lease is the Lease of leader election. If another replica holds it, Lease reports that at once,
// while the elector alone would retry until the deadline. If the Lease cannot be read or written,
// Lease logs that once, while the elector alone would log each attempt: in an outage, every second
// on every replica.
type Lease struct {
	resourcelock.Interface

	log    logr.Logger
	onLost func() // called if another replica holds the Lease that this one held

	// The elector makes one request at a time.
	isHeld    bool // by this replica, as the API server last answered
	isFailing bool
}

// NewLease returns the Lease in a namespace.
func NewLease(to *rest.Config, namespace string, events resourcelock.EventRecorder, log logr.Logger) (*Lease, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("get the host name of this replica: %w", err)
	}
	identity := resourcelock.ResourceLockConfig{Identity: host + "_" + uuid.NewString(), EventRecorder: events}
	inner, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, namespace, LeaseName, identity, to, 2*leaseTimeout)
	if err != nil {
		return nil, fmt.Errorf("prepare leader election: %w", err)
	}
	return &Lease{Interface: inner, log: log}, nil
}

// Get implements resourcelock.Interface.
func (l *Lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	l.logChange(ctx, err)
	if err == nil && l.isHeld && record.HolderIdentity != l.Identity() {
		l.isHeld = false
		l.onLost()
	}
	return record, raw, err //nolint:wrapcheck // the elector inspects it
}

// Create implements resourcelock.Interface.
func (l *Lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Create(ctx, record)
	l.logChange(ctx, err)
	l.isHeld = l.isHeld || err == nil
	return err //nolint:wrapcheck // the elector inspects it
}

// Update implements resourcelock.Interface.
func (l *Lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Update(ctx, record)
	l.logChange(ctx, err)
	l.isHeld = l.isHeld || err == nil
	return err //nolint:wrapcheck // the elector inspects it
}

// release releases the Lease if this replica holds it, so that the next leader need not wait until
// it expires. It is called once the elector and the reconcilers have ended, also when ctx is over.
// The last renewal may reach the API server late, so release asks the API server which replica is
// the holder.
func (l *Lease) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTimeout)
	defer cancel()
	l.isHeld = false
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		record, _, err := l.Interface.Get(ctx)
		if err != nil || record.HolderIdentity != l.Identity() {
			return client.IgnoreNotFound(err)
		}
		now := metav1.Now()
		return l.Interface.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaseDurationSeconds: 1, AcquireTime: now, RenewTime: now, LeaderTransitions: record.LeaderTransitions,
		})
	})
	if err != nil {
		l.log.Info("cannot release the Lease: if this replica holds it, another one waits until it expires", "error", err.Error())
	}
}

// logChange logs the first of consecutive failures, and their end. It is no failure that another
// replica was faster.
func (l *Lease) logChange(ctx context.Context, err error) {
	failed := err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err)
	switch {
	case ctx.Err() != nil || failed == l.isFailing:
		return
	case failed:
		l.log.Info("cannot read or write the Lease; trying again every second", "error", err.Error())
	default:
		l.log.Info("the Lease can be read and written again")
	}
	l.isFailing = failed
}
