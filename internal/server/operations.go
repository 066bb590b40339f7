package server

import (
	"net/http"

	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/server/loginapi"
	"github.com/apptoken/operator/internal/server/oauth"
	"github.com/apptoken/operator/internal/server/tokenapi"
)

// pathOpenAPI is the path of the OpenAPI document.
const pathOpenAPI = "/openapi.json"

// operations returns every operation of the HTTP endpoints.
func (e *Endpoints) operations() []endpoint.Operation {
	logins := e.logins()
	all := append(e.authz().Operations(), (&oauth.Handlers{Logins: logins, Records: e.Records}).Operations()...)
	if e.Logins != nil {
		all = append(all, (&loginapi.TeleTracker{Logins: logins}).Operations()...)
		all = append(all, (&loginapi.Spectrum{Logins: logins}).Operations()...)
		all = append(all, (&loginapi.Funnelback{Logins: logins, AcceptsCredentialsInURL: e.LoginCredentialsInURL}).Operations()...)
	}
	if e.Management != nil {
		all = append(all, tokenapi.Operations(&tokenapi.Handlers{Logins: logins, Tokens: e.Management})...)
	}
	document := openAPI(all)
	return append(all, endpoint.Operation{Method: http.MethodGet, Path: pathOpenAPI, Serve: func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		header["Content-Type"] = endpoint.ContentTypeJSON
		endpoint.SetBrowserHeaders(header)
		_, _ = w.Write(document) //nolint:errcheck // the caller is gone
	}})
}
