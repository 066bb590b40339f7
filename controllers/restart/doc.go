// Package restart restarts the workloads that consume the Secret of a token after a rotation, and
// observes whether their rollouts are complete.
//
// It decides which workloads a version has not reached yet. It does not know when a token rotates,
// or how its Secret is written.
package restart
