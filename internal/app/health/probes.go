package health

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/apptoken/operator/internal/server"
)

// maxProbeConnections limits the connections to the probes: a kubelet opens one for each probe.
const maxProbeConnections = 64

// APIServerCheck is the name of the check of the contact with the API server.
const APIServerCheck = "api-server"

// Check returns an error while this replica is not ready to serve.
type Check func() error

// Probes answers /healthz and /readyz with the results of the checks, which the probes of
// controller-runtime withhold.
type Probes struct {
	Checks      map[string]Check
	LastContact func() string // reports the last contact, which fails no probe however old
}

// NewServer returns a bound server of probes; nil if the address is 0. It answers before anything
// else of a manager starts, and until everything else has ended.
func NewServer(ctx context.Context, address string, p *Probes) (*manager.Server, error) {
	if address == "0" {
		return nil, nil
	}
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--health-probe-bind-address=%s: %w", address, err)
	}
	return &manager.Server{
		Name:            "probes",
		Listener:        server.LimitConnections(socket, maxProbeConnections),
		Server:          &http.Server{Handler: server.RespondBeforeBody(p), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10},
		ShutdownTimeout: new(time.Second),
	}, nil
}

// ServeHTTP answers /healthz, /readyz, and /readyz/name for a single check.
func (p *Probes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	name, single := strings.CutPrefix(r.URL.Path, "/readyz/")
	_, known := p.Checks[name]
	status, text := http.StatusNotFound, "not found\n"
	switch {
	case r.URL.Path == "/healthz":
		status, text = http.StatusOK, "ok\n"
	case r.URL.Path == "/readyz":
		status, text = p.runChecks(slices.Sorted(maps.Keys(p.Checks)))
	case single && known:
		status, text = p.runChecks([]string{name})
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) //nolint:errcheck // the client has gone
}

// runChecks runs the checks, and returns their results.
func (p *Probes) runChecks(names []string) (status int, text string) {
	status, text = http.StatusOK, "ok\n"
	var lines strings.Builder
	for _, name := range names {
		if err := p.Checks[name](); err != nil {
			status, text = http.StatusServiceUnavailable, "not ready\n"
			fmt.Fprintf(&lines, "[-] %s: %s\n", name, err)
			continue
		}
		fmt.Fprintf(&lines, "[+] %s\n", name)
	}
	return status, text + lines.String() + p.LastContact() + "\n"
}
