// Package cluster starts a real kube-apiserver and etcd on loopback, with the kinds installed.
// Tests, the load test and the demo of "make run" use it.
//
// The programs are those of KUBEBUILDER_ASSETS. The Makefile sets it to the folder that
// hack/controlplane/controlplane.sh prints.
package cluster

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Cluster is a running control plane.
type Cluster struct {
	// Admin has every right.
	Admin *rest.Config
	env   *envtest.Environment
}

// Root returns the folder of the module, which holds CRDs and samples. A program that was built
// with -trimpath does not know where its source was, and must run in that folder.
func Root() string {
	_, here, _, _ := runtime.Caller(0)
	if !filepath.IsAbs(here) {
		return "."
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(here)))
}

// Option changes how a control plane is started.
type Option func(*envtest.Environment) error

// kubeconfigFor returns a kubeconfig file of a server, without a credential.
func kubeconfigFor(server string, ca []byte) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: apptoken
  cluster: {server: %q, certificate-authority-data: %q}
contexts:
- name: apptoken
  context: {cluster: apptoken}
current-context: apptoken
`, server, base64.StdEncoding.EncodeToString(ca))
}

// AnonymousKubeconfig returns a kubeconfig file without a credential, for a user who has a token.
func (c *Cluster) AnonymousKubeconfig() []byte { return kubeconfigFor(c.Admin.Host, c.Admin.CAData) }

// WithTokenWebhook makes the API server ask a webhook about bearer tokens that are not its own. It
// caches a success for a second, in addition to the ten seconds that it always does. The file that
// names the webhook is written into the folder.
func WithTokenWebhook(url, folder string) Option {
	return func(env *envtest.Environment) error {
		file := filepath.Join(folder, "tokenreview.conf")
		env.ControlPlane.GetAPIServer().Configure().
			Set("authentication-token-webhook-config-file", file).
			Set("authentication-token-webhook-version", "v1").
			Set("authentication-token-webhook-cache-ttl", "1s")
		return os.WriteFile(file, kubeconfigFor(url, nil), 0o600)
	}
}

// WithoutCRDs omits the kinds: the cluster is as it was before any installation.
func WithoutCRDs(env *envtest.Environment) error {
	env.CRDDirectoryPaths = nil
	return nil
}

// Start starts a control plane on free ports and installs the kinds from config/crd. It is ready
// when Start returns.
func Start(options ...Option) (*Cluster, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS is not set: use the Makefile, or export KUBEBUILDER_ASSETS=$(make -s controlplane | tail -n 1)")
	}
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(Root(), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	for _, set := range options {
		if err := set(env); err != nil {
			return nil, err
		}
	}
	admin, err := env.Start()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start kube-apiserver and etcd: %w", err), env.Stop())
	}
	admin.QPS = -1 // the API server's priority and fairness limits the client
	return &Cluster{Admin: admin, env: env}, nil
}

// Stop ends both programs and deletes their data.
func (c *Cluster) Stop() error {
	return c.env.Stop()
}

// Kubeconfig returns a kubeconfig file with every right.
func (c *Cluster) Kubeconfig() ([]byte, error) {
	user, err := c.env.AddUser(envtest.User{Name: "apptoken-admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return nil, fmt.Errorf("add a user to the cluster: %w", err)
	}
	return user.KubeConfig()
}
