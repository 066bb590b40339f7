// Package controlplane starts a real kube-apiserver and etcd on loopback, with the kinds installed.
// Tests, the load test and the demo of "make run" use it. It knows nothing of the operator.
//
// A package of tests has one control plane. Its TestMain calls Main:
//
//	func TestMain(m *testing.M) { controlplane.Main(m, connect) }
//
// A test that needs a control plane of its own calls StartFor.
//
// The programs are those of KUBEBUILDER_ASSETS. The Makefile sets it to the folder that
// hack/controlplane/controlplane.sh prints.
package controlplane
