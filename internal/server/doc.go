// Package server is the doors: it asks the verifier in the protocols of those who ask.
//
//	door                 called by                       who they must be            answers
//	/verify              gateways (forward auth)         anybody                     200 with the identity in headers, 401, 403
//	/oauth2/introspect   resource servers (RFC 7662)     holds sec.token.introspect  200 with the identity in JSON
//	/oauth2/revoke       holders (RFC 7009)              the holder itself, or       200
//	                                                     holds sec.token.revoke
//	/.well-known/oauth-authorization-server (RFC 8414)   anybody                     200
//	/tokenreview         kube-apiserver                  anybody                     200 with a TokenReview
//	ext_authz (gRPC)     Envoy                           anybody                     OK with headers, 401, 403
//
// Anybody may ask about a credential that they can present: they learn what they could do with it anyway. Whatever is
// wrong with a credential, the answer is one and the same; only the audit log and the metrics tell. A door never decides.
// It runs on every replica.
package server
