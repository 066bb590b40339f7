// Package applicationtoken reconciles ApplicationTokens with the records and Secrets of their
// versions.
//
//	controller.go         one pass: observe, plan, execute, report
//	setup.go              two controllers, their work queues, and the lock of a token
//	watch.go              which tokens an event enqueues
//	observe.go            the observed state of a token: its Secret and its records
//	secret_owner.go       whether a Secret belongs to a token, and which token it holds
//	clone_restore.go      grants of a clone that were lost with its status
//	quota_reservation.go  whether a token gets quota of its client
//	execute.go            one action of the plan; the Secret as arbiter of a version
//	pending.go            tokens whose Secrets are not written yet
//	backoff.go            Secrets that the API server rejects
//	secret_metadata.go    labels and annotations that are no longer allowed
//	secret_name_cycle.go  tokens that wait for each other's Secrets
//	status.go             conditions, events, status
//	finalize.go           the end of a token, and its finalizer
//
// It decides nothing about rotation and retirement: internal/plan does. It does not know what a
// spec means: internal/tokenspec does. internal/issue writes records, and controllers/restart
// restarts consumers.
package applicationtoken
