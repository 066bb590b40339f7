// Package authz serves the verification endpoints that gateways and API servers ask for every
// request: forward auth, Envoy's ext_authz and TokenReview.
//
// It collects the requirements and the credential of a request, and writes the verdict in the
// format of the caller. It decides nothing: endpoint.Base verifies.
package authz
