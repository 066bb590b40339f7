// Package certificates provides the certificates of the endpoints: the serving certificate, which
// is read from files, the Secret in which the operator creates and renews that certificate, and the
// CAs that the certificates of clients are verified against.
//
//	SecretReconciler --writes--> Secret --mounted by the kubelet--> files --> Serving --> TLS handshake
//
// Files are read again whenever they change. The package does not know which endpoints use the
// certificates.
package certificates
