package testbed

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/app"
	"github.com/apptoken/operator/internal/testing/controlplane"
	"github.com/apptoken/operator/test/loadtest/report"
)

// The objects of a testbed.
const (
	OwnNamespace   = "apptoken-system" // of the operator
	ProbeNamespace = "bench-new"       // of the tokens that are declared one after another
	plainNamespace = "bench-plain"     // of what plain clients write
	ClientName     = "bench"
	namespaceCount = 10 // number of namespaces that share the tokens
)

// Config holds what a testbed depends on.
type Config struct {
	Program  string        // path of the operator's program
	Folder   string        // in which the testbed creates its own
	Clients  int           // number of plain clients
	Tokens   int           // number of tokens that are declared at once
	MaxCount int           // spec.tokens.maxCount of the Client; 0: one that is never reached
	Probe    time.Duration // between two tokens that a probe declares
}

// UnlimitedCount is a maxCount that no section reaches.
const UnlimitedCount = 1_000_000

// Testbed is the testbed of a section: a control plane of its own, and the operator once it is
// started.
type Testbed struct {
	Config
	report.Progress
	folder     string // of this testbed only; removed at its end
	kubeconfig string
	cluster    *controlplane.Cluster
	Admin      kubernetes.Interface
	Clients    []client.Client // plain, each with a connection of its own
	Operator   *Operator       // nil: none runs
	Variables  []string        // of the environment of operators, as NAME=value
	Tracker    *Tracker
	stop       context.CancelFunc // of the tracker
}

// Start starts a control plane, and creates what tokens need. The caller must tear the result down,
// also after an error.
func Start(ctx context.Context, c Config, p report.Progress) (*Testbed, error) {
	s := &Testbed{Config: c, Progress: p}
	var err error
	if s.folder, err = os.MkdirTemp(c.Folder, "testbed-"); err != nil {
		return s, err
	}
	if s.cluster, err = controlplane.Start(); err != nil {
		return s, err
	}
	if s.Admin, err = kubernetes.NewForConfig(s.cluster.Admin); err != nil {
		return s, err
	}
	for range c.Clients {
		config := rest.CopyConfig(s.cluster.Admin)
		config.Dial = new(net.Dialer).DialContext // a separate dialer gives a separate connection
		c, err := client.New(config, client.Options{Scheme: app.Scheme()})
		if err != nil {
			return s, fmt.Errorf("reach the cluster: %w", err)
		}
		s.Clients = append(s.Clients, c)
	}
	kubeconfig, err := s.cluster.Kubeconfig()
	if err != nil {
		return s, err
	}
	s.kubeconfig = filepath.Join(s.folder, "kubeconfig")
	if err := os.WriteFile(s.kubeconfig, kubeconfig, 0o600); err != nil {
		return s, err
	}
	if err := s.createFixtures(ctx); err != nil {
		return s, err
	}
	following, stop := context.WithCancel(ctx)
	s.stop = stop
	s.Tracker, err = newTracker(following, s.cluster.Admin, p, s.alive)
	return s, err
}

// createFixtures creates the namespaces, and the Client that grants to all of them.
func (s *Testbed) createFixtures(ctx context.Context) error {
	all := []string{OwnNamespace, ProbeNamespace, plainNamespace}
	for i := range namespaceCount {
		all = append(all, TokenNamespace(i))
	}
	for _, name := range all {
		if err := s.Clients[0].Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
	}
	c := &v1alpha1.Client{
		ObjectMeta: metav1.ObjectMeta{Name: ClientName},
		Spec: v1alpha1.ClientSpec{
			Roles: []v1alpha1.Role{
				{Name: "primary", Permissions: []v1alpha1.Permission{"search.*", "sec.continuous.rest"}},
				{Name: "developer", Permissions: []v1alpha1.Permission{"sec.application-token.*"}},
			},
			Grants: []v1alpha1.Grant{{
				Namespaces: v1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{}},
				Roles:      []v1alpha1.RoleName{"primary", "developer"},
			}},
		},
	}
	c.Spec.Tokens.MaxCount = new(int32(cmp.Or(s.MaxCount, UnlimitedCount)))
	if err := s.Clients[0].Create(ctx, c); err != nil {
		return fmt.Errorf("create Client %s: %w", ClientName, err)
	}
	return nil
}

// KubernetesVersion returns the version of the control plane.
func (s *Testbed) KubernetesVersion(ctx context.Context) (string, error) {
	body, err := s.Admin.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the API server for its version: %w", err)
	}
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	return v.GitVersion, json.Unmarshal(body, &v)
}

// alive returns an error if the operator has ended by itself.
func (s *Testbed) alive() error {
	if s.Operator == nil {
		return nil
	}
	return s.Operator.CheckAlive()
}

// Teardown stops everything that build started, in reverse order.
func (s *Testbed) Teardown() error {
	if s.stop != nil {
		s.stop()
	}
	err := s.StopOperator()
	if s.cluster != nil {
		err = errors.Join(err, s.cluster.Stop())
	}
	if s.folder != "" {
		err = errors.Join(err, os.RemoveAll(s.folder))
	}
	return err
}
