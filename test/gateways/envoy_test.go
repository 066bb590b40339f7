package gateways_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/apptoken/operator/internal/server"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// findValues returns the values of a key, wherever they are in a document.
func findValues(document any, key string) []any {
	var all []any
	switch d := document.(type) {
	case map[string]any:
		for k, v := range d {
			if k == key {
				all = append(all, v)
			}
			all = append(all, findValues(v, key)...)
		}
	case []any:
		for _, v := range d {
			all = append(all, findValues(v, key)...)
		}
	}
	return all
}

// No Envoy runs here. The test sends the endpoint the requirements of a route on the page, as Envoy
// would.
func TestEnvoy_PageRequirementsAreEnforced(t *testing.T) {
	var page map[string]any
	if err := yaml.UnmarshalStrict([]byte(firstBlock(t, "envoy.md", "yaml")), &page); err != nil {
		t.Fatal(err)
	}
	extensions := map[string]string{}
	for _, v := range findValues(page, "context_extensions") {
		for name, value := range v.(map[string]any) {
			extensions[name] = value.(string)
		}
	}
	if len(extensions) == 0 {
		t.Fatal("the page requires nothing")
	}
	w := verifytest.Load(t)
	a := newTestCA(t)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &server.Listener{Address: "127.0.0.1:0", GRPC: newEndpoints(w).GRPC(), TLS: a.serverConfig(t, serviceName), Log: logr.Discard()}
	ended := make(chan error, 1)
	go func() { ended <- l.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := wait.PollUntilContextTimeout(ctx, time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		return l.Ready() == nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(a.certPEM())
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: trusted, ServerName: serviceName, MinVersion: tls.VersionTLS12,
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for holder, want := range map[string]int{"indexer": 0, "nothing": http.StatusForbidden, "ended": http.StatusUnauthorized} {
		got, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Headers: map[string]string{"authorization": "Bearer " + w.Tokens[holder]},
			}},
			ContextExtensions: extensions,
		}})
		if err != nil || int(got.GetDeniedResponse().GetStatus().GetCode()) != want {
			t.Errorf("%s: %v, %v", holder, got, err)
		}
	}
}
