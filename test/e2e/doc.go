// Package e2e holds the tests of the whole operator: in process, with the rights of config/rbac and no others, against a
// real kube-apiserver and etcd. Every test has a namespace and a Client of its own. Tests that start and stop operators
// run first, one after the other; the rest share one operator, side by side.
//
// When all are done, main_test.go looks back at everything: which requests the operator sent, what it logged, what it
// left in the cluster.
package e2e
