package testbed

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
)

// Sample holds what the operator wrote for one token. Plain clients write copies of it, so that the
// kind and size of the writes are the same.
type Sample struct {
	token  v1alpha1.ApplicationToken
	Record v1alpha1.TokenRecord
	secret corev1.Secret
	event  eventsv1.Event
}

// ReadSample reads what the operator wrote for a token.
func (s *Testbed) ReadSample(ctx context.Context, key client.ObjectKey) (*Sample, error) {
	from, c := &Sample{}, s.Clients[0]
	if err := c.Get(ctx, key, &from.token); err != nil {
		return nil, err
	}
	if from.token.Status.Current == nil {
		return nil, fmt.Errorf("token %s has no version", key)
	}
	var events eventsv1.EventList
	err := errors.Join(
		c.Get(ctx, client.ObjectKey{Namespace: OwnNamespace, Name: from.token.Status.Current.Record}, &from.Record),
		c.List(ctx, &events, client.InNamespace(key.Namespace), client.Limit(1)),
	)
	if name := from.token.Status.SecretName; name != "" {
		err = errors.Join(err, c.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: name}, &from.secret))
	}
	if err == nil && len(events.Items) > 0 {
		from.event = events.Items[0]
	}
	return from, err
}

// PlainWriteRate has plain clients execute the writes in cost, without an operator, and returns
// their number per second.
func (s *Testbed) PlainWriteRate(ctx context.Context, from *Sample, cost Counts) (float64, error) {
	its := make([]*PlainToken, s.Config.Tokens)
	for i := range its {
		its[i] = &PlainToken{Name: TokenName(i)}
	}
	before, err := s.Writes(ctx)
	if err != nil {
		return 0, err
	}
	used := s.Usage()
	repeated, took, err := s.RepeatWrites(ctx, from, cost, its)
	if err != nil {
		return 0, err
	}
	s.Logf("by plain clients: %s", s.Usage().Since(used))
	after, err := s.Writes(ctx)
	if err != nil {
		return 0, err
	}
	if done := after.Since(before).Total(); done != repeated {
		return 0, fmt.Errorf("plain clients meant to write %d times, and the API server counted %d", repeated, done)
	}
	return float64(repeated) / took.Seconds(), nil
}

// RepeatWrites has plain clients execute the writes in cost, spread evenly over its. It returns how
// many writes there were and how long they took.
func (s *Testbed) RepeatWrites(ctx context.Context, from *Sample, cost Counts, its []*PlainToken) (repeated int, took time.Duration, err error) {
	for op, count := range cost.Done {
		if from.writer(op) == nil {
			s.Logf("plain clients leave out %d of %d writes: %s", count, cost.Total(), op)
			continue
		}
		repeated += count
	}
	n, began := len(its), time.Now()
	err = s.InParallel(ctx, "plain clients", n, func(ctx context.Context, c client.Client, i int) error {
		it := its[i]
		it.client = c
		for _, op := range writeOrder {
			count := cost.Done[op]
			for range count*(i+1)/n - count*i/n {
				if err := from.writer(op)(ctx, it); err != nil {
					return fmt.Errorf("%s: %w", op, err)
				}
			}
		}
		return nil
	})
	return repeated, time.Since(began), err
}

// The writes of a token and of a login, in the order of their dependencies.
var (
	declareToken = Operation{"POST", "applicationtokens", ""}
	addFinalizer = Operation{"PATCH", "applicationtokens", ""}
	AddRecord    = Operation{"POST", "tokenrecords", ""}
	addSecret    = Operation{"POST", "secrets", ""}
	updateStatus = Operation{"PUT", "applicationtokens", "status"}
	patchStatus  = Operation{"PATCH", "applicationtokens", "status"}
	addEvent     = Operation{"POST", "events", ""}
	DropRecord   = Operation{"DELETE", "tokenrecords", ""}

	writeOrder = []Operation{declareToken, addFinalizer, AddRecord, addSecret, updateStatus, patchStatus, addEvent, DropRecord}
)

// PlainToken is one token as a plain client writes it.
type PlainToken struct {
	client       client.Client
	Name         string
	token        *v1alpha1.ApplicationToken // as the API server last returned it
	statusWrites int64
	records      []*v1alpha1.TokenRecord // those that can be deleted, oldest first
}

// writer returns the function that executes a write of the given kind. It returns nil for a write
// that neither creates a token nor belongs to a login.
func (from *Sample) writer(op Operation) func(context.Context, *PlainToken) error {
	return map[Operation]func(context.Context, *PlainToken) error{
		declareToken: func(ctx context.Context, it *PlainToken) error {
			it.token = &v1alpha1.ApplicationToken{Spec: *from.token.Spec.DeepCopy()}
			it.token.Namespace, it.token.Name, it.token.Annotations = plainNamespace, it.Name, maps.Clone(from.token.Annotations)
			return it.client.Create(ctx, it.token)
		},
		addFinalizer: func(ctx context.Context, it *PlainToken) error {
			before := it.token.DeepCopy()
			it.token.Finalizers = append(it.token.Finalizers, fmt.Sprintf("bench.apptoken.dev/%d", len(it.token.Finalizers)))
			return it.client.Patch(ctx, it.token, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		},
		AddRecord: func(ctx context.Context, it *PlainToken) error {
			record := &v1alpha1.TokenRecord{Spec: *from.Record.Spec.DeepCopy()}
			digest := RandomDigest()
			record.Namespace, record.Name, record.Spec.Digest = plainNamespace, "at-"+digest[:32], v1alpha1.Digest(digest)
			it.records = append(it.records, record)
			return it.client.Create(ctx, record)
		},
		DropRecord: func(ctx context.Context, it *PlainToken) error {
			if len(it.records) == 0 {
				return errors.New("there is no record that could be dropped")
			}
			record := it.records[0]
			it.records = it.records[1:]
			return it.client.Delete(ctx, record, client.Preconditions{UID: &record.UID})
		},
		addSecret: func(ctx context.Context, it *PlainToken) error {
			secret := from.secret.DeepCopy()
			secret.ObjectMeta = metav1.ObjectMeta{
				Namespace: plainNamespace, Name: it.Name,
				Labels: secret.Labels, Annotations: secret.Annotations, OwnerReferences: secret.OwnerReferences,
			}
			return it.client.Create(ctx, secret)
		},
		updateStatus: func(ctx context.Context, it *PlainToken) error {
			from.changeStatus(it)
			return it.client.Status().Update(ctx, it.token)
		},
		patchStatus: func(ctx context.Context, it *PlainToken) error {
			before := it.token.DeepCopy()
			from.changeStatus(it)
			return it.client.Status().Patch(ctx, it.token, client.MergeFrom(before))
		},
		addEvent: func(ctx context.Context, it *PlainToken) error {
			event := from.event.DeepCopy()
			event.ObjectMeta = metav1.ObjectMeta{Namespace: plainNamespace, Name: it.Name + "." + RandomDigest()[:16]}
			event.Regarding.Namespace, event.Regarding.Name = plainNamespace, it.Name
			return it.client.Create(ctx, event)
		},
	}[op]
}

// changeStatus changes the status each time, since the API server does not write an unchanged one.
func (from *Sample) changeStatus(it *PlainToken) {
	from.token.Status.DeepCopyInto(&it.token.Status)
	it.statusWrites++
	it.token.Status.Rotations = it.statusWrites
}

// RandomDigest returns a random text in the form of a digest.
func RandomDigest() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
