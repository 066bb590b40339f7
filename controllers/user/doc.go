// Package user reconciles Users. It reports whether a user can log in and how many logins there
// are, and ends all of them when the user is deleted.
//
// It checks no password, and does not end single logins: internal/login and the session reconciler
// do.
package user
