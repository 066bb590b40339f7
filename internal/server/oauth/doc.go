// Package oauth serves OAuth 2.0: tokens for a password or a refresh token (RFC 6749),
// introspection (RFC 7662), revocation (RFC 7009) and metadata (RFC 8414).
//
// It logs users in through loginapi, as the other login protocols do.
package oauth
