package directory_test

import (
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/testing/operatortest"
)

// The API server of this package's tests, with every right: a client without a cache, and the
// configuration for caches.
var (
	api   client.WithWatch
	admin *rest.Config
)

func TestMain(m *testing.M) {
	operatortest.Main(m, func(c client.WithWatch, config *rest.Config) { api, admin = c, config })
}

// fixture adds the helpers of this package's tests to the shared fixture.
type fixture struct{ *operatortest.Fixture }

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return &fixture{operatortest.New(t, api)}
}
