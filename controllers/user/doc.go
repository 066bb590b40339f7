// Package user reconciles Users: whether the user can log in, and how many logins there are.
package user
