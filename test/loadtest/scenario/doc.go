// Package scenario holds what the sections of the load test share: their sizes, the current testbed
// and users with password hashes. Each section is a function in a package below.
//
//	verification   token, index, endpoints: in this process, without a control plane
//	issuance       write, quota, idle, rotate, neighbours: tokens that are delivered in Secrets
//	logins         logins, refreshes, logouts and tokens that users create
//	replicas       propagation to all replicas, and takeovers
//	start          start with many records
package scenario
