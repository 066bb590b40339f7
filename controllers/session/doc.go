// Package session garbage-collects the records of logins that are over, and ends the oldest logins
// of a user who has more than the client allows.
//
// It does not decide when a login is over: internal/login does.
package session
