// Package v1alpha1 contains the API types of apptoken.dev: the kinds, and their conditions,
// reasons, labels and annotations. It has no behaviour and imports nothing else of the project. The
// parentheses name who writes a kind.
//
//	Client            who may hold tokens, and with which rights at most   (platform team)
//	User              who logs in with a password, and at which Clients    (platform team)
//	ApplicationToken  a token of an application, and how it rotates        (application team)
//	TokenRecord       the digest and the validity of one credential        (operator only)
//
// +kubebuilder:object:generate=true
// +groupName=apptoken.dev
package v1alpha1
