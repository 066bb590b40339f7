// Package v1alpha1 is what users and the operator say to each other: the kinds of apptoken.dev, their conditions,
// reasons, labels and annotations. It holds no behaviour and imports nothing of ours.
//
//	Client            who may hold tokens, and at most with which rights     written by the platform team
//	User              who logs in with a password, and at which Clients      written by the platform team
//	ApplicationToken  a token that an application wants, and how it rotates  written by the application team
//	TokenRecord       the hash of one credential and what it is good for     written by the operator alone
//
// +kubebuilder:object:generate=true
// +groupName=apptoken.dev
package v1alpha1
