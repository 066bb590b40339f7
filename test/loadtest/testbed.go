package main

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
	"github.com/apptoken/operator/test/cluster"
)

const (
	ownNamespace = "apptoken-system" // of the operator
	newNamespace = "bench-new"       // of the tokens that are declared one after another
	rawNamespace = "bench-raw"       // of what plain clients write
	clientName   = "bench"
	namespaces   = 10 // number of namespaces that share the tokens
)

// testbedConfig is what a testbed depends on.
type testbedConfig struct {
	program  string        // path of the operator's program
	folder   string        // in which the testbed creates its own
	clients  int           // number of plain clients
	tokens   int           // number of tokens that are declared at once
	maxCount int           // spec.tokens.maxCount of the Client; 0: one that is never reached
	probe    time.Duration // between two tokens that a probe declares
}

// unlimitedCount is a maxCount that no section reaches.
const unlimitedCount = 1_000_000

// testbed is the testbed of a section: a control plane of its own, and the operator once it is
// started.
type testbed struct {
	testbedConfig
	progress
	folder     string // of this testbed only; removed at its end
	kubeconfig string
	cluster    *cluster.Cluster
	admin      kubernetes.Interface
	clients    []client.Client // plain, each with a connection of its own
	operator   *operator       // nil: none runs
	tokens     *tracker
	stop       context.CancelFunc // of the tracker
}

// startTestbed starts a control plane, and creates what tokens need. The caller must tear the
// result down, also after an error.
func startTestbed(ctx context.Context, c testbedConfig, p progress) (*testbed, error) {
	s := &testbed{testbedConfig: c, progress: p}
	var err error
	if s.folder, err = os.MkdirTemp(c.folder, "testbed-"); err != nil {
		return s, err
	}
	if s.cluster, err = cluster.Start(); err != nil {
		return s, err
	}
	if s.admin, err = kubernetes.NewForConfig(s.cluster.Admin); err != nil {
		return s, err
	}
	for range c.clients {
		config := rest.CopyConfig(s.cluster.Admin)
		config.Dial = new(net.Dialer).DialContext // a separate dialer gives a separate connection
		c, err := client.New(config, client.Options{Scheme: app.Scheme()})
		if err != nil {
			return s, fmt.Errorf("reach the cluster: %w", err)
		}
		s.clients = append(s.clients, c)
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
	s.tokens, err = newTracker(following, s.cluster.Admin, p, s.alive)
	return s, err
}

// createFixtures creates the namespaces, and the Client that grants to all of them.
func (s *testbed) createFixtures(ctx context.Context) error {
	all := []string{ownNamespace, newNamespace, rawNamespace}
	for i := range namespaces {
		all = append(all, namespaceOf(i))
	}
	for _, name := range all {
		if err := s.clients[0].Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
	}
	c := &v1alpha1.Client{
		ObjectMeta: metav1.ObjectMeta{Name: clientName},
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
	c.Spec.Tokens.MaxCount = new(int32(cmp.Or(s.maxCount, unlimitedCount)))
	if err := s.clients[0].Create(ctx, c); err != nil {
		return fmt.Errorf("create Client %s: %w", clientName, err)
	}
	return nil
}

// kubernetesVersion returns the version of the control plane.
func (s *testbed) kubernetesVersion(ctx context.Context) (string, error) {
	body, err := s.admin.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the API server for its version: %w", err)
	}
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	return v.GitVersion, json.Unmarshal(body, &v)
}

// alive returns an error if the operator has ended by itself.
func (s *testbed) alive() error {
	if s.operator == nil {
		return nil
	}
	return s.operator.checkAlive()
}

// teardown stops everything that build started, in reverse order.
func (s *testbed) teardown() error {
	if s.stop != nil {
		s.stop()
	}
	err := s.stopOperator()
	if s.cluster != nil {
		err = errors.Join(err, s.cluster.Stop())
	}
	if s.folder != "" {
		err = errors.Join(err, os.RemoveAll(s.folder))
	}
	return err
}
