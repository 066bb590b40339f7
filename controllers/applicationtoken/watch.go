package applicationtoken

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/controllers/watch"
)

// forgetDeleted returns a handler that forgets each deleted token. A token without its finalizer
// can be deleted before it is reconciled. The handler waits for a reconcile that may still keep
// something in memory. The watch has only this handler, so that no other event waits.
func (r *Reconciler) forgetDeleted(locks *tokenLocks) handler.EventHandler {
	return handler.Funcs{DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ watch.RequestQueue) {
		at, ok := e.Object.(*v1alpha1.ApplicationToken)
		if !ok {
			return
		}
		lock := locks.lockFor(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(at)})
		lock.Lock()
		defer lock.Unlock()
		r.forget(at)
	}}
}
