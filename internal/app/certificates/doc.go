// Package certificates provides the certificates of the endpoints. The serving certificate is read
// from files. The operator can create and renew it in a Secret. The certificates of clients are
// verified against the CAs in another file.
//
//	SecretReconciler --> Secret --mounted by the kubelet--> files --> Serving --> TLS handshake
//
// Files are read again whenever they change. The package does not know which endpoints use the
// certificates.
package certificates
