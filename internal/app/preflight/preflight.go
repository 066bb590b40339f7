package preflight

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app/health"
)

const (
	// attemptTimeout is the timeout of one request, so that an API server that hangs is detected.
	attemptTimeout = 5 * time.Second
	// settleTime is how long an API server that was unavailable may reject what it accepts later:
	// it answers before it has read its roles and kinds.
	settleTime = 30 * time.Second
	// waitingLogInterval is the pause between two log lines of a replica that waits.
	waitingLogInterval = 30 * time.Second
)

// RetryInterval is the pause between attempts to reach an API server that does not answer.
const RetryInterval = time.Second

// Options are what an operator needs of a cluster.
type Options struct {
	Scheme        *runtime.Scheme
	Namespace     string // the operator's own, which must exist
	HealthAddress string // of the probes while the replica waits; 0: none
}

// AwaitCluster returns nil once the API server answers and the cluster has what the operator needs.
// While the API server is unavailable, the process waits: it is alive and not ready. AwaitCluster
// returns an error if the API server answers and something is missing, which an administrator has
// to add.
func AwaitCluster(ctx context.Context, to *rest.Config, o Options) error {
	log := ctrl.Log.WithName("start")
	var away, logged time.Time // when the API server was last away, and when that was logged
	for attempt := 0; ; attempt++ {
		err := check(ctx, to, o)
		if err == nil {
			if attempt > 0 {
				log.Info("the API server answers: starting")
			}
			return nil
		}
		now := time.Now()
		if IsUnavailable(err) {
			away = now
		} else if now.Sub(away) > settleTime {
			return err
		}
		if attempt == 0 {
			stop, err := serveWaiting(ctx, o.HealthAddress)
			if err != nil {
				return err
			}
			defer stop()
		}
		if now.Sub(logged) >= waitingLogInterval {
			logged = now
			log.Info("waiting for the API server, not ready; trying again every second", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped while waiting for the API server: %w", err)
		case <-time.After(RetryInterval):
		}
	}
}

// serveWaiting answers the probes of a replica that waits: it is alive and not ready. stop closes
// the listener.
func serveWaiting(ctx context.Context, address string) (stop func(), err error) {
	server, err := health.NewServer(ctx, address, &health.Probes{
		Checks:      map[string]health.Check{health.APIServerCheck: func() error { return errors.New("waiting for the API server; the log has the reason") }},
		LastContact: func() string { return health.NoContact },
	})
	if err != nil || server == nil {
		return func() {}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Start(ctx); err != nil {
			ctrl.Log.WithName("start").Error(err, "the probe server failed")
		}
	}()
	return func() {
		cancel()
		<-ended
	}, nil
}

// IsUnavailable reports whether an error means that the API server is unreachable or out of order.
// Any other answer is a decision. A server with a certificate of another CA is not the intended API
// server.
func IsUnavailable(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		code := status.ErrStatus.Code
		return code >= http.StatusInternalServerError || code == http.StatusTooManyRequests
	}
	if request, ok := errors.AsType[*url.Error](err); ok {
		return request.Op != "parse"
	}
	return errors.Is(err, io.ErrUnexpectedEOF) // a response that breaks off
}

// check returns an error that states what is missing in the cluster, and how to add it.
func check(ctx context.Context, to *rest.Config, o Options) error {
	to = rest.CopyConfig(to)
	to.Timeout = attemptTimeout
	live, err := client.New(to, client.Options{Scheme: o.Scheme})
	if err != nil {
		return fmt.Errorf("reach the cluster: %w", err)
	}
	var ns corev1.Namespace
	err = live.Get(ctx, types.NamespacedName{Name: o.Namespace}, &ns)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("the operator's own namespace %s does not exist: create it with \"kubectl create namespace %s\", or set --namespace to another one", o.Namespace, o.Namespace)
	}
	if err != nil {
		return fmt.Errorf("get the operator's own namespace: %w", err)
	}
	for _, kind := range []string{"Client", "User", "ApplicationToken", "TokenRecord"} {
		gk := v1alpha1.GroupVersion.WithKind(kind).GroupKind()
		if _, err := live.RESTMapper().RESTMapping(gk, v1alpha1.GroupVersion.Version); meta.IsNoMatchError(err) {
			return fmt.Errorf("the API server does not serve the kind %s: install the kinds with \"kubectl apply -k config/crd\"", kind)
		} else if err != nil {
			return fmt.Errorf("discover the kind %s: %w", kind, err)
		}
	}
	return nil
}
