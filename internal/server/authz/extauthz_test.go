package authz_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/apptoken/operator/internal/testing/servertest"
	"github.com/apptoken/operator/internal/verify/verifytest"
)

// checkRequestOf returns the CheckRequest of a vector. A header that is there more than once is in
// the header map.
func checkRequestOf(v verifytest.Vector) *authv3.CheckRequest {
	headers, lines := map[string]string{}, &corev3.HeaderMap{}
	for name, values := range v.HTTPHeaders() {
		if name = strings.ToLower(name); len(values) == 1 {
			headers[name] = values[0]
			continue
		}
		for _, value := range values {
			lines.Headers = append(lines.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
		}
	}
	extensions := map[string]string{}
	for name, list := range map[string][]string{"permission": v.Requires.Permissions, "role": v.Requires.Roles, "client": v.Requires.Clients} {
		if list != nil {
			extensions["apptoken."+name] = strings.Join(list, ", ")
		}
	}
	a := &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Path: "/search/all?" + v.Query, Host: "127.0.0.1", Headers: headers, HeaderMap: lines,
		}},
		ContextExtensions: extensions,
	}
	if v.Source != "" {
		a.Source = &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: v.Source},
		}}}
	}
	return &authv3.CheckRequest{Attributes: a}
}

func TestVectors_ThroughExtAuthz(t *testing.T) {
	h := servertest.NewVectorServer(t)
	gateway := h.DialExtAuthz()
	for _, v := range h.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			got, err := gateway.Check(t.Context(), checkRequestOf(v))
			if err != nil {
				t.Fatal(err)
			}
			h.CheckNoLeak("the answer", got.String())
			if want := statusOf(v.Verdict); want != http.StatusOK {
				if denied := got.GetDeniedResponse(); int(denied.GetStatus().GetCode()) != want || got.GetStatus().GetCode() == 0 {
					t.Errorf("%v", got)
				}
				return
			}
			ok := got.GetOkResponse()
			if ok == nil || got.GetStatus().GetCode() != 0 {
				t.Fatalf("%v", got)
			}
			said := map[string]string{}
			for _, option := range ok.GetHeaders() {
				if option.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
					t.Errorf("%s is added to what the caller says", option.GetHeader().GetKey())
				}
				said[option.GetHeader().GetKey()] = option.GetHeader().GetValue()
			}
			for name, want := range identityOf(h, v) {
				if said[name] != want {
					t.Errorf("%s is %q, want %q", name, said[name], want)
				}
				if _, there := said[name]; !there && !slices.Contains(ok.GetHeadersToRemove(), name) {
					t.Errorf("%s of the caller gets through", name)
				}
			}
		})
	}
	h.CheckNoLeak("the audit log", h.AuditLog.Text())
}

func TestExtAuthz_RemovesForgedIdentityHeaders(t *testing.T) {
	h := servertest.NewVectorServer(t)
	got, err := h.DialExtAuthz().Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Headers: map[string]string{
			"authorization": "Bearer " + h.Tokens["indexer"], "x-apptoken-user": "root", "x-apptoken-future": "x", "x_apptoken_user": "root",
		}}},
		ContextExtensions: map[string]string{"apptoken.credential": "remove"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	removed := got.GetOkResponse().GetHeadersToRemove()
	for _, name := range []string{"x-apptoken-user", "x-apptoken-future", "x_apptoken_user", "authorization", "x-security-token", "authentication"} {
		if !slices.ContainsFunc(removed, func(s string) bool { return strings.EqualFold(s, name) }) {
			t.Errorf("%s gets through: %q are removed", name, removed)
		}
	}
}

// To ignore an unknown name could be to require less than was meant.
func TestExtAuthz_UnknownExtensionIsRefused(t *testing.T) {
	h := servertest.NewVectorServer(t)
	gateway := h.DialExtAuthz()
	for name, x := range map[string]struct {
		extensions map[string]string
		status     int
	}{
		"permissions":        {map[string]string{"apptoken.permissions": "search.query"}, http.StatusForbidden},
		"empty":              {map[string]string{"apptoken.permission": ""}, http.StatusForbidden},
		"a token":            {map[string]string{"apptoken." + h.Tokens["indexer"]: "x"}, http.StatusForbidden},
		"Remove":             {map[string]string{"apptoken.credential": "Remove"}, http.StatusForbidden},
		"of another program": {map[string]string{"other.permission": "x"}, 0},
		"as it should be":    {map[string]string{"apptoken.permission": "search.query", "apptoken.credential": "remove"}, 0},
	} {
		got, err := gateway.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Headers: map[string]string{
				"authorization": "Bearer " + h.Tokens["indexer"],
			}}},
			ContextExtensions: x.extensions,
		}})
		if err != nil || int(got.GetDeniedResponse().GetStatus().GetCode()) != x.status {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if strings.Contains(h.AuditLog.Text(), h.Tokens["indexer"]) {
		t.Error("the audit log repeats what a caller wrote")
	}
}

func TestExtAuthz_EmptyCheckIsRefused(t *testing.T) {
	gateway := servertest.NewVectorServer(t).DialExtAuthz()
	for name, req := range map[string]*authv3.CheckRequest{
		"nothing":    {},
		"attributes": {Attributes: &authv3.AttributeContext{}},
		"request":    {Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{}}},
		"http":       {Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{}}}},
	} {
		got, err := gateway.Check(context.WithoutCancel(t.Context()), req)
		if err != nil || got.GetDeniedResponse().GetStatus().GetCode() != http.StatusUnauthorized {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
