package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/apptoken/operator/internal/testing/apptest"
	"github.com/apptoken/operator/internal/token"
)

// forwardTCP forwards connections from one address to another, until the test ends.
func forwardTCP(t *testing.T, from, to string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for {
			caller, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", to)
			if err != nil {
				_ = caller.Close()
				continue
			}
			go pipe(caller, server)
			go pipe(server, caller)
		}
	}()
}

// kubeconfigThrough returns a kubeconfig with every right at another address, and the address of
// the API server.
func kubeconfigThrough(t *testing.T, address string) (config []byte, server string) {
	t.Helper()
	all, err := clientcmd.Load(adminKubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all.Clusters {
		at, err := url.Parse(c.Server)
		if err != nil {
			t.Fatal(err)
		}
		server, at.Host = at.Host, address
		c.Server = at.String()
	}
	if config, err = clientcmd.Write(*all); err != nil {
		t.Fatal(err)
	}
	return config, server
}

// pipe copies until one end is closed, and closes both.
func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

// waitForLog waits until the process has logged a text.
func (p *process) waitForLog(text string) {
	p.t.Helper()
	apptest.Eventually(p.t, "it logs "+text, func(context.Context) bool { return strings.Contains(p.stderr(), text) })
}

// If a replica crashed here, the kubelet would restart it with a growing backoff. It would not run
// yet when the API server is back.
func TestStart_WaitsForAPIServer(t *testing.T) {
	away, health := freeAddress(t), freeAddress(t)
	config, server := kubeconfigThrough(t, away)
	p := startProcess(t, environment{"KUBECONFIG": writeTempFile(t, config)},
		"--namespace=default", "--namespaces=apptoken-absent", "--metrics-bind-address=0", "--health-probe-bind-address="+health)
	p.waitForOK("http://" + health + "/healthz")
	p.waitForLog("waiting for the API server, not ready")
	p.waitForLog("connection refused")
	for _, path := range []string{"/readyz", "/readyz/api-server"} {
		if status, said := getURL(t.Context(), "http://"+health+path); status != http.StatusServiceUnavailable || !strings.Contains(said, "waiting for the API server") {
			t.Errorf("%s answers %d %s", path, status, said)
		}
	}
	forwardTCP(t, away, server)
	p.waitForOK("http://" + health + "/readyz")
	p.stop()
	p.assertExit(0)
}

func TestStart_StopsWhileItWaits(t *testing.T) {
	hanging := listenLoopback(t) // its connections are accepted by the kernel, and nothing answers
	defer hanging.Close()
	for sentence, c := range map[string]struct{ server, why string }{
		"for an API server that refuses connections":   {freeAddress(t), "connection refused"},
		"for an API server that accepts and is silent": {hanging.Addr().String(), "deadline exceeded"},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := startProcess(t, environment{"KUBECONFIG": writeTempFile(t, wrongTokenKubeconfig("https://"+c.server))}, noListenerFlags...)
			p.waitForLog("waiting for the API server, not ready")
			p.waitForLog(c.why)
			p.stop()
			p.assertExit(0)
		})
	}
}

// The operator does not wait for an API server that answers, but is another one or does not know
// the caller.
func TestStart_WrongCAExits(t *testing.T) {
	config := fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: %q}}], users: [{name: u, user: {token: wrong}}]}`, testCluster.Admin.Host)
	startProcess(t, environment{"KUBECONFIG": writeTempFile(t, config)}, noListenerFlags...).assertExit(1, "apptoken-operator: get the operator's own namespace: ", "certificate signed by unknown authority")
}

func TestStart_TokenAsHostIsNotLogged(t *testing.T) { // [row 10]
	plain := apptest.MintToken(t, token.Application)
	p := startProcess(t, environment{"KUBECONFIG": writeTempFile(t, wrongTokenKubeconfig("https://"+plain+".invalid"))}, noListenerFlags...)
	p.waitForLog("waiting for the API server, not ready")
	apptest.AssertNoToken(t, p.stderr(), plain)
	p.stop()
	p.assertExit(0)
}
