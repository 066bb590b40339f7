// Package endpoint holds what all endpoints share: the credentials that a request presents, the
// address that it comes from, the caller's budget of API calls, responses and challenges, metrics,
// and the description of an operation from which routes and OpenAPI document are made.
//
// Handlers of the other packages embed Base. It does not know which endpoints exist beyond their
// names in metrics and in the audit log.
package endpoint
