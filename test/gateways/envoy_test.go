package gateways_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"sigs.k8s.io/yaml"

	"github.com/apptoken/operator/internal/verify/verifytest"
)

// found are the values of a key, wherever they are in a document.
func found(document any, key string) []any {
	var all []any
	switch d := document.(type) {
	case map[string]any:
		for k, v := range d {
			if k == key {
				all = append(all, v)
			}
			all = append(all, found(v, key)...)
		}
	case []any:
		for _, v := range d {
			all = append(all, found(v, key)...)
		}
	}
	return all
}

// There is no Envoy here. What its page has a route require is said to the door, as Envoy would.
func TestWhatEnvoysPageRequiresIsUnderstoodAtTheDoor(t *testing.T) {
	var page map[string]any
	if err := yaml.UnmarshalStrict([]byte(config(t, "envoy.md", "yaml")), &page); err != nil {
		t.Fatal(err)
	}
	extensions := map[string]string{}
	for _, v := range found(page, "context_extensions") {
		for name, value := range v.(map[string]any) {
			extensions[name] = value.(string)
		}
	}
	if len(extensions) == 0 {
		t.Fatal("the page requires nothing")
	}
	w := verifytest.Load(t)
	s := httptest.NewUnstartedServer(doors(w).GRPC())
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	conn, err := grpc.NewClient(s.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
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
