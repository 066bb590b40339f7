package operatortest

import (
	"errors"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/testing/controlplane"
)

// Main runs the tests of a package on one control plane, and exits. Before the tests, connect gets
// a client without a cache and the configuration for further clients. Both have every right.
func Main(m *testing.M, connect func(client.WithWatch, *rest.Config)) {
	ctrl.SetLogger(logr.Discard()) // the tests check the errors themselves
	controlplane.Main(m, func(c *controlplane.Cluster) error {
		scheme := runtime.NewScheme()
		if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
			return err
		}
		api, err := client.NewWithWatch(c.Admin, client.Options{Scheme: scheme})
		if err != nil {
			return err
		}
		connect(api, c.Admin)
		return nil
	})
}
