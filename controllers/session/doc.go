// Package session garbage-collects the records of logins that are over. It also ends the excess
// logins of a user: those beyond the limit of the user or the client.
//
// It does not decide when a login is over, nor which ends first: internal/login does.
package session
