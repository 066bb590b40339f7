package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
)

// lookout reads what is around a token.
type lookout struct {
	Client  client.Client // reads may be from a cache
	Live    client.Reader // reads are from the API server
	Records *record.Kube
}

// around reads what a token depends on: its client, its user, its namespace, its source.
func (l lookout) around(ctx context.Context, at *v1alpha1.ApplicationToken) (surroundings, error) {
	s := surroundings{answered: byAnswer(at, l.Records.Namespace())}
	var err error
	switch {
	case at.Spec.ClientRef != nil:
		s.asked = askedBy(at)
	case at.Spec.CloneFrom != nil:
		if s.asked, s.refused, err = l.origin(ctx, at); err != nil || s.refused != nil {
			return s, err
		}
	case at.Spec.UserRef != nil:
		if s.user, s.asked, err = l.ofUser(ctx, at); err != nil || s.asked.client == "" {
			return s, err
		}
	default:
		s.refused = &plan.Refusal{Reason: v1alpha1.ReasonInvalidSpec, Message: "the spec names nobody that the token speaks for; set spec.clientRef"}
		return s, nil
	}
	var c v1alpha1.Client
	key := types.NamespacedName{Name: s.asked.client}
	err = l.Client.Get(ctx, key, &c)
	if apierrors.IsNotFound(err) {
		err = l.Live.Get(ctx, key, &c) // it may have been applied together with the token
	}
	if apierrors.IsNotFound(err) {
		s.refused = &plan.Refusal{Reason: v1alpha1.ReasonClientMissing, Message: fmt.Sprintf("there is no Client %q; correct %s, or ask the platform team to create it", s.asked.client, whence(at))}
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("get Client %s: %w", s.asked.client, err)
	}
	s.client = &c
	if s.asked.user == "" && !s.answered {
		s.namespace, err = l.namespaceLabels(ctx, at.Namespace)
	}
	return s, err
}

func (l lookout) namespaceLabels(ctx context.Context, name string) (map[string]string, error) {
	var ns metav1.PartialObjectMetadata
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := l.Client.Get(ctx, types.NamespacedName{Name: name}, &ns); err != nil {
		return nil, fmt.Errorf("get Namespace %s: %w", name, err)
	}
	return ns.Labels, nil
}

// whence is the field that names the client of a token.
func whence(at *v1alpha1.ApplicationToken) string {
	if at.Spec.UserRef != nil {
		return "spec.userRef.client"
	}
	return "spec.clientRef"
}
