// Package controllers brings the cluster in line with what was declared. Each reconciler observes, asks internal/plan,
// acts, and says what it did in the status; it holds no rule of its own.
//
//	ApplicationTokens  token -> record and Secret, rotation, retirement, restarts
//	Clients            client -> state and counts
//	TokenRecords       record -> swept, once nobody owns it
//	Users              user -> whether they can log in, and how many logins they have
//	Logins             record of a login -> swept, once it is over, or one too many
//
// The file for each step of an ApplicationToken: desired.go understands the spec, clone.go resolves cloneFrom, observe.go
// looks, act.go issues, retire.go ends, secret.go writes the Secret, restart.go restarts consumers, status.go says so. Of
// those that speak for a user tells ofuser.go, of those that are given in answers of the HTTP API answered.go.
//
// The Desk is no reconciler: it makes and rotates those on every replica, as it is asked, and its files are desk*.go.
//
// Nothing here is trusted to happen once, or alone: the Secret is the place where a race is decided, by creation or by its
// resource version, and the record that it names is the current one. Of what is given in answers, the ApplicationToken itself
// is that place. Whoever loses takes back the record that it made.
package controllers
