// Package endpoint holds what all endpoints share: the credentials that a request presents, the
// address that it comes from, the caller's budget of API calls, responses, challenges and metrics.
// It also defines Operation, the description from which routes and the OpenAPI document are made.
//
// Handlers of the other packages embed Base. It does not know which endpoints exist beyond their
// names in metrics and in the audit log.
package endpoint
