// Package server is the doors: it asks the verifier in the protocols of those who ask. It is the protocols in which people
// log in, too, and those in which application tokens are managed.
//
//	door                 called by                       who they must be            answers
//	/verify              gateways (forward auth)         anybody                     200 with the identity in headers, 401, 403
//	/oauth2/introspect   resource servers (RFC 7662)     holds sec.token.introspect  200 with the identity in JSON
//	/oauth2/revoke       holders (RFC 7009)              the holder itself, or       200
//	                                                     holds sec.token.revoke
//	/.well-known/oauth-authorization-server (RFC 8414)   anybody                     200
//	/tokenreview         kube-apiserver                  anybody                     200 with a TokenReview
//	ext_authz (gRPC)     Envoy                           anybody                     OK with headers, 401, 403
//	/oauth2/token        OAuth clients (RFC 6749)        name and password,          200 with a login in JSON
//	                                                     or a refresh token
//	/account/v1/login    programs for Funnelback         name and password           200 with a login in a header
//	/auth/…              programs for TeleTracker        name and password,          200 with a login in JSON
//	                                                     or what that gave
//	/security/rest/…     programs for Spectrum           name and password,          200 with a session or open token in JSON
//	                                                     or what that gave
//	/application-tokens/ administrators and holders      a token, or name and        200 with the token once, or what is known of it
//	                                                     password, and the permission
//	                                                     at that client
//	/openapi.json, /ui/  people                          anybody                     200 with what is above, described
//
// What a browser sends by itself, cookies and the name and password that it kept, changes nothing for a page of another site.
// Anybody may ask about a credential that they can present: they learn what they could do with it anyway. Whatever is
// wrong with a credential, the answer is one and the same; only the audit log and the metrics tell. A door never decides.
// It runs on every replica.
package server
