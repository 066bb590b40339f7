// Package session garbage-collects the records of logins that are over, and ends logins of a user
// who has more than the user or the client allows.
//
// It does not decide when a login is over, nor which ends first: internal/login does.
package session
