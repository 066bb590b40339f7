package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// sample is what the operator wrote for one token. Plain clients write copies of it, so that kind and size are the same.
type sample struct {
	token  v1alpha1.ApplicationToken
	record v1alpha1.TokenRecord
	secret corev1.Secret
	event  eventsv1.Event
}

func (s *stage) sample(ctx context.Context) (*sample, error) {
	from, c := &sample{}, s.clients[0]
	key := client.ObjectKey{Namespace: namespaceOf(0), Name: nameOf(0)}
	if err := c.Get(ctx, key, &from.token); err != nil {
		return nil, err
	}
	if from.token.Status.Current == nil {
		return nil, fmt.Errorf("token %s has no version", key)
	}
	var events eventsv1.EventList
	err := errors.Join(
		c.Get(ctx, client.ObjectKey{Namespace: ownNamespace, Name: from.token.Status.Current.Record}, &from.record),
		c.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: from.token.Status.SecretName}, &from.secret),
		c.List(ctx, &events, client.InNamespace(key.Namespace), client.Limit(1)),
	)
	if err == nil && len(events.Items) > 0 {
		from.event = events.Items[0]
	}
	return from, err
}

// raw has plain clients do the writes in cost, without an operator, and returns how many they did in a second.
func (s *stage) raw(ctx context.Context, from *sample, cost counts) (float64, error) {
	n := s.options.tokens
	repeated, all := 0, cost.total()
	for op, count := range cost.done {
		if from.writer(op) == nil {
			s.say("plain clients leave out %d of %d writes: %s", count, all, op)
			continue
		}
		repeated += count
	}
	before, err := s.writes(ctx)
	if err != nil {
		return 0, err
	}
	used, began := s.usage(), time.Now()
	err = s.all(ctx, "plain clients", n, func(ctx context.Context, c client.Client, i int) error {
		it := &copies{client: c, name: nameOf(i)}
		for _, op := range order {
			count := cost.done[op]
			for range count*(i+1)/n - count*i/n { // each its share
				if err := from.writer(op)(ctx, it); err != nil {
					return fmt.Errorf("%s: %w", op, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	took := time.Since(began).Seconds()
	s.say("by plain clients: %s", s.usage().since(used))
	after, err := s.writes(ctx)
	if err != nil {
		return 0, err
	}
	if done := after.since(before).total(); done != repeated {
		return 0, fmt.Errorf("plain clients meant to write %d times, and the API server counted %d", repeated, done)
	}
	return float64(repeated) / took, nil
}

// The writes that make a token, in the order in which they depend on each other.
var (
	declareToken = operation{"POST", "applicationtokens", ""}
	holdToken    = operation{"PATCH", "applicationtokens", ""}
	addRecord    = operation{"POST", "tokenrecords", ""}
	addSecret    = operation{"POST", "secrets", ""}
	sayStatus    = operation{"PUT", "applicationtokens", "status"}
	patchStatus  = operation{"PATCH", "applicationtokens", "status"}
	addEvent     = operation{"POST", "events", ""}

	order = []operation{declareToken, holdToken, addRecord, addSecret, sayStatus, patchStatus, addEvent}
)

// copies is one token as a plain client writes it.
type copies struct {
	client client.Client
	name   string
	token  *v1alpha1.ApplicationToken // as the API server last returned it
	said   int64
}

// writer does one write of a sort. Nil: not one that makes a token.
func (from *sample) writer(op operation) func(context.Context, *copies) error {
	return map[operation]func(context.Context, *copies) error{
		declareToken: func(ctx context.Context, it *copies) error {
			it.token = declare(rawNamespace, it.name)
			return it.client.Create(ctx, it.token)
		},
		holdToken: func(ctx context.Context, it *copies) error {
			before := it.token.DeepCopy()
			it.token.Finalizers = append(it.token.Finalizers, fmt.Sprintf("bench.apptoken.dev/%d", len(it.token.Finalizers)))
			return it.client.Patch(ctx, it.token, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		},
		addRecord: func(ctx context.Context, it *copies) error {
			record := &v1alpha1.TokenRecord{Spec: *from.record.Spec.DeepCopy()}
			digest := randomDigest()
			record.Namespace, record.Name, record.Spec.Digest = rawNamespace, "at-"+digest[:32], v1alpha1.Digest(digest)
			return it.client.Create(ctx, record)
		},
		addSecret: func(ctx context.Context, it *copies) error {
			secret := from.secret.DeepCopy()
			secret.ObjectMeta = metav1.ObjectMeta{
				Namespace: rawNamespace, Name: it.name,
				Labels: secret.Labels, Annotations: secret.Annotations, OwnerReferences: secret.OwnerReferences,
			}
			return it.client.Create(ctx, secret)
		},
		sayStatus: func(ctx context.Context, it *copies) error {
			from.describe(it)
			return it.client.Status().Update(ctx, it.token)
		},
		patchStatus: func(ctx context.Context, it *copies) error {
			before := it.token.DeepCopy()
			from.describe(it)
			return it.client.Status().Patch(ctx, it.token, client.MergeFrom(before))
		},
		addEvent: func(ctx context.Context, it *copies) error {
			event := from.event.DeepCopy()
			event.ObjectMeta = metav1.ObjectMeta{Namespace: rawNamespace, Name: it.name + "." + randomDigest()[:16]}
			event.Regarding.Namespace, event.Regarding.Name = rawNamespace, it.name
			return it.client.Create(ctx, event)
		},
	}[op]
}

// describe changes the status each time: what stays the same is not written.
func (from *sample) describe(it *copies) {
	from.token.Status.DeepCopyInto(&it.token.Status)
	it.said++
	it.token.Status.Rotations = it.said
}

func randomDigest() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
