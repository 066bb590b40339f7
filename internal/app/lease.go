package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// leaseName is that of the Lease that the replicas compete for.
const leaseName = "apptoken-operator"

// renewDeadline is for how long a leader tries to renew its Lease.
const renewDeadline = 10 * time.Second

// lease is the Lease of leader election, which its holder keeps while the API server does not answer. Without that, the process
// of the elected replica would end in the tenth second of an outage, and could not verify from memory.
//
// In a partition another replica takes the Lease, and this one is told when it reaches the API server again. Until then it can
// write nothing; and of two that reconcile, the API server accepts one write of each kind.
type lease struct {
	resourcelock.Interface

	held bool // by this replica, as the API server last said
}

// newLease returns the Lease of a namespace. Events are recorded once the manager is there.
func newLease(to *rest.Config, namespace string, events *lateEvents) (*lease, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name this replica: %w", err)
	}
	identity := resourcelock.ResourceLockConfig{Identity: host + "_" + uuid.NewString(), EventRecorder: events}
	inner, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, namespace, leaseName, identity, to, renewDeadline)
	if err != nil {
		return nil, fmt.Errorf("prepare leader election: %w", err)
	}
	return &lease{Interface: inner}, nil
}

// Get implements resourcelock.Interface.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil {
		l.held = record.HolderIdentity == l.Identity()
	}
	return record, raw, err //nolint:wrapcheck // the elector looks at it
}

// Create implements resourcelock.Interface.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Create(ctx, record)
	l.held = err == nil
	return err //nolint:wrapcheck // the elector looks at it
}

// Update implements resourcelock.Interface. An API server that does not answer has given the Lease to nobody, as far as can be
// told.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Update(ctx, record)
	mine := record.HolderIdentity == l.Identity()
	switch {
	case err == nil:
		l.held = mine
	case l.held && mine && !rejected(err):
		return nil
	}
	return err //nolint:wrapcheck // the elector looks at it
}

// rejected reports whether an API server has decided against a request, as opposed to being out of reach or out of order.
func rejected(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return false
	}
	code := status.ErrStatus.Code
	return code >= http.StatusBadRequest && code < http.StatusInternalServerError && code != http.StatusTooManyRequests
}

// lateEvents records events once there is a manager, which the Lease is made before.
type lateEvents struct{ of manager.Manager }

// Eventf implements resourcelock.EventRecorder.
func (e *lateEvents) Eventf(obj runtime.Object, kind, reason, format string, args ...any) {
	if e.of != nil {
		e.of.GetEventRecorderFor(leaseName).Eventf(obj, kind, reason, format, args...) //nolint:staticcheck // leader election has no other recorder
	}
}
