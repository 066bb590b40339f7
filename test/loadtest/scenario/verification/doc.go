// Package verification measures what a verification costs: the token, the index, and each
// verification endpoint beside a handler that answers at once.
//
// All of it runs in this process, without a control plane.
package verification
