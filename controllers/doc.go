// Package controllers brings the cluster in line with what was declared. Each reconciler observes,
// asks internal/plan, acts, and reports the result in the status. It holds no rule of its own.
//
//	ApplicationTokens  token -> record and Secret, rotation, retirement, restarts
//	Clients            client -> state and counts
//	TokenRecords       record -> garbage-collected, once it has no owner
//	Users              user -> whether the user can log in, and the number of logins
//	Logins             record of a login -> garbage-collected, once over or beyond the limit
//
// Each step of an ApplicationToken has a file. desired.go builds the desired state, clone.go
// resolves cloneFrom, observe.go observes, act.go issues, and retire.go retires. secret.go writes
// the Secret, restart.go restarts consumers, and status.go updates the status. ofuser.go holds what
// is special about tokens of users, and answered.go what is special about tokens that are delivered
// in responses of the HTTP API.
//
// The management API is no reconciler: it makes and rotates the latter on every replica, as callers
// ask. Its files are desk*.go.
//
// No code here relies on running once, or alone. The Secret decides a race, by its creation or its
// resource version, and the record that it names is the current one. For a token that is delivered
// in responses, the ApplicationToken itself decides. The loser of a race deletes the record that it
// made.
package controllers
