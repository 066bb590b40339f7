// Package login lets people, and programs that speak for them, exchange a name and a password for short-lived credentials.
//
//	name and password ──Authenticate──> User ──Open──> live ──Refresh──> live … ──End, idleness, expiry, the cap──> gone
//	                                                     └──Masquerade──> live at another client
//
// It decides who somebody is, which of their accounts a login is of, how long it lasts, and what becomes of a refresh token
// that is presented: once it is good, a little later it is a retry, and after that a theft. Each login is one record. A
// failure writes nothing.
//
// In which protocol somebody asks is not known here, nor where users, clients and records come from. Verifying what was
// opened is not done here either: that is for internal/verify, on every replica, without a write.
package login
