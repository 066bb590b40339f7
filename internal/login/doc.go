// Package login lets users, and programs that act for them, exchange a user name and a password for
// short-lived credentials.
//
//	name and password ──Authenticate──> User ──Open──> live ──Refresh──> live … ──> gone
//	                                                     └──Masquerade──> live at another client
//
//	application token ──OpenAccess──> access token, gone with it
//
// A login is gone after End, at its idle timeout, at its expiry, or when the session limit ends it.
//
// The package decides which user logs in, at which of the user's accounts, and how long the login
// lasts. It also decides what a presented refresh token means: valid once, a retry for RetryWindow
// afterwards, and after that a replay, which ends the session. Each login is one record. A failed
// login writes nothing. A scope narrows a login, and every login that replaces it.
//
// The package knows neither the login protocol of a request nor the source of users, clients and
// records. It does not verify the credentials that it issues: internal/verify does that on every
// replica, without a write.
package login
