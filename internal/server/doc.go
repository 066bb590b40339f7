// Package server serves the HTTP and gRPC endpoints: verification, OAuth 2.0, login protocols, and
// the management API for application tokens.
//
//	endpoint              callers                       answer
//	/verify               gateways (forward auth)       200 with the identity in headers, 401, 403
//	ext_authz (gRPC)      Envoy                         OK with the identity in headers, 401, 403
//	/tokenreview          kube-apiserver                200 with a TokenReview
//	/oauth2/introspect    resource servers (RFC 7662)   200 with the identity in JSON
//	/oauth2/revoke        holders (RFC 7009)            200
//	/oauth2/token         OAuth clients (RFC 6749)      200 with a login in JSON
//	/.well-known/…        OAuth clients (RFC 8414)      200 with the URLs of the above
//	/account/v1/login     programs for Funnelback       200 with a login in a header
//	/auth/…               programs for TeleTracker      200 with a login in JSON
//	/security/rest/…      programs for Spectrum         200 with a token in JSON
//	/security/Token…      SOAP clients for Spectrum     200 with a token in an envelope
//	/application-tokens/  administrators and holders    200 with a token once, or its description
//	/openapi.json, /ui/   users                         200 with a description of the above
//
// Introspection requires sec.token.introspect of its caller. Revocation requires the token itself,
// or sec.token.revoke. Logins require a name and a password, or a token from an earlier login.
// Management requires a token, or a name and a password. It also requires a permission at that
// client, except where users list, read and revoke their own tokens. The other endpoints require
// nothing of their callers.
//
// A browser sends cookies, and a name and password that it has stored, with requests that pages of
// other sites make. Such a request is refused, unless the origin of the page is allowed. Even then,
// a credential in a cookie changes nothing.
//
// Any caller may ask about a credential that it can present: it learns only what it could do with
// that credential anyway. A refused credential gets the same response whatever is wrong with it;
// only the audit log and the metrics hold the reason. An endpoint never decides by itself: the
// verifier, the login service and the management service do. The server runs on every replica.
package server
