// Package kube stores records as TokenRecords in the namespace of the operator.
package kube
