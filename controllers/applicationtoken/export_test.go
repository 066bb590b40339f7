package applicationtoken

import (
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/tokenspec"
)

// NamedRecords returns the names of the records that are read for a Secret.
var NamedRecords = tokenspec.NamedRecords

// ExpiryMessage returns the message of ExpiringSoon.
var ExpiryMessage = expiryMessage

// EnqueueUrgent enqueues an ApplicationToken in the urgent queue.
var EnqueueUrgent = enqueueUrgent

// KeepsToken reports whether the plaintext of a token is kept in memory.
func (r *Reconciler) KeepsToken(at *v1alpha1.ApplicationToken) bool {
	_, offered := r.offeredTokens.get(at)
	_, pending := r.pendingTokens.get(at)
	return offered || pending
}

// ForgetDeleted returns the handler of the deletion of tokens.
func (r *Reconciler) ForgetDeleted() handler.EventHandler {
	return r.forgetDeleted(newTokenLocks())
}
