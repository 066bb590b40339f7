// Package applicationtoken reconciles ApplicationTokens with the records and Secrets of their
// versions.
//
//	controller.go  one reconcile: observe, plan, execute, report
//	observe.go     what there is of a token: its Secret and its records
//	execute.go     one action of the plan: record first, Secret second
//	finalize.go    the end of a token, and its finalizer
//	quota.go       whether a token has a place in the quota of its client
//	restart.go     restarts of the workloads that consume a Secret
//	status.go      conditions, events, status
//	setup.go       watches and work queues
//
// It decides nothing about rotation and retirement: internal/plan does.
package applicationtoken
