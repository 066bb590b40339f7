package certificates_test

import (
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/testing/controlplane"
)

var (
	testCluster *controlplane.Cluster
	api         client.Client // with every right, and no cache
)

func TestMain(m *testing.M) { controlplane.Main(m, connect, controlplane.WithoutCRDs) }

func connect(c *controlplane.Cluster) (err error) {
	ctrl.SetLogger(logr.Discard())
	testCluster = c
	api, err = client.New(c.Admin, client.Options{})
	return err
}
