// Package session deletes the records of logins that are over or exceed a limit.
package session
