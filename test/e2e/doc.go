// Package e2e holds the tests of the whole operator. The operator runs in process, with the rights
// of config/rbac and no others, against a real kube-apiserver and etcd. Every test has a namespace
// and a Client of its own. Tests that start and stop operators run first, one after the other; the
// rest share one operator and run in parallel.
//
// After all tests, main_test.go checks the whole run: the requests that the operators sent, their
// logs, and the objects they left in the cluster.
package e2e
