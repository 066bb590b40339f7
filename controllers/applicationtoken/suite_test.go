package applicationtoken_test

import (
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/internal/testing/operatortest"
)

// api reads and writes the real API server, with every right and without a cache.
var api client.WithWatch

func TestMain(m *testing.M) {
	operatortest.Main(m, func(c client.WithWatch, _ *rest.Config) { api = c })
}

// fixture adds the helpers of this package's tests to the shared fixture.
type fixture struct{ *operatortest.Fixture }

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return &fixture{operatortest.New(t, api)}
}
