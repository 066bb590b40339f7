// Package loginapi serves the login protocols of Funnelback, TeleTracker and Spectrum, for programs
// that were written for these systems. docs/login-protocols describes each exchange.
//
// A protocol decides where a request has its fields, and what a response looks like. Logins holds
// what they share: it reads name and password, chooses the account, and calls the login service,
// which decides.
package loginapi
