package certificates_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/test/cluster"
)

var (
	testCluster *cluster.Cluster
	api         client.Client // with every right, and no cache
)

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	ctrl.SetLogger(logr.Discard())
	if testCluster, err = cluster.Start(cluster.WithoutCRDs); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, testCluster.Stop()) }()
	if api, err = client.New(testCluster.Admin, client.Options{}); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
