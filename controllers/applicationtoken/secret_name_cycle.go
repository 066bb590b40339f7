package applicationtoken

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/tokenspec"
)

// maxSecretNameCycle bounds how many tokens that wait for each other's Secrets are followed.
const maxSecretNameCycle = 16

// findSecretNameCycle returns the names of the other tokens of a cycle in which a token waits. Two
// tokens that exchange the names of their Secrets form one. It starts at the owner of the Secret
// that the token asks for. It goes on to the owner of the Secret that this one asks for, until one
// waits for the token's own. It returns nil if there is no cycle: the wait then ends when another
// token moves.
func (r *Reconciler) findSecretNameCycle(ctx context.Context, at *v1alpha1.ApplicationToken) ([]string, error) {
	var cycle []string
	name := tokenspec.SecretNames(at)[0]
	for range maxSecretNameCycle {
		other, err := r.ownerOfSecret(ctx, at.Namespace, name)
		switch {
		case err != nil:
			return nil, err
		case other == nil:
			return nil, nil
		case other.UID == at.UID:
			return cycle, nil
		}
		cycle = append(cycle, other.Name)
		if name = tokenspec.SecretNames(other)[0]; len(tokenspec.SecretNames(other)) == 1 {
			return nil, nil // it has what it asks for
		}
	}
	return nil, nil
}

// secretNameCycleRequests returns requests for the other tokens of the cycle that a change of a
// token closes. Each of them then reports the cycle at once.
func (r *Reconciler) secretNameCycleRequests(ctx context.Context, obj client.Object) []reconcile.Request {
	at, is := obj.(*v1alpha1.ApplicationToken)
	if !is || len(tokenspec.SecretNames(at)) == 1 {
		return nil
	}
	cycle, err := r.findSecretNameCycle(ctx, at)
	if err != nil {
		return nil // the cache is stopping
	}
	requests := make([]reconcile.Request, len(cycle))
	for i, name := range cycle {
		requests[i].NamespacedName = types.NamespacedName{Namespace: at.Namespace, Name: name}
	}
	return requests
}

// ownerOfSecret returns the ApplicationToken that controls a Secret. It returns nil if there is no
// such Secret, or if no ApplicationToken controls it.
func (r *Reconciler) ownerOfSecret(ctx context.Context, namespace, name string) (*v1alpha1.ApplicationToken, error) {
	var secret corev1.Secret
	if err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &secret, client.DisableReadYourWritesConsistency); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("get Secret %s: %w", name, err)
	}
	o := metav1.GetControllerOf(&secret)
	if o == nil || !tokenspec.IsTokenReference(o) {
		return nil, nil
	}
	var at v1alpha1.ApplicationToken
	if err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: o.Name}, &at, client.DisableReadYourWritesConsistency); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("get ApplicationToken %s: %w", o.Name, err)
	}
	if at.UID != o.UID || !at.DeletionTimestamp.IsZero() {
		return nil, nil
	}
	return &at, nil
}

// secretNameCycleMessage returns what the condition of a token says about the cycle in which it
// waits; empty: there is none.
func secretNameCycleMessage(cycle []string) string {
	if len(cycle) == 0 {
		return ""
	}
	return fmt.Sprintf(": this token and %s exchange the names of their Secrets, and each waits for another; give one of them a name that no Secret has, and the name that you want after that",
		strings.Join(cycle, ", "))
}
