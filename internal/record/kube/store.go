package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

var ()

// Fields by which records are listed.
const (
	FieldFamily = "spec.refresh.family" // from the API server as from a cache
	IndexOwner  = "owner"               // from a cache alone, see OwnedBy
)

// Store stores records as TokenRecords in one namespace.
type Store struct {
	client    client.Client // reads may come from a cache
	apiReader client.Reader // reads come from the API server
	namespace string
}

// New returns a store over the TokenRecords of a namespace. Confirm, Find, ConfirmByOwner and a
// sure Family read from live; all other reads come from c.
func New(c client.Client, live client.Reader, namespace string) *Store {
	return &Store{client: c, apiReader: live, namespace: namespace}
}

// Namespace returns the namespace of the records.
func (k *Store) Namespace() string { return k.namespace }

// Add stores a new record. It returns ErrExists if a record of that name exists. After any other
// error the record may or may not be stored.
func (k *Store) Add(ctx context.Context, r record.Record) (record.Record, error) {
	obj := k.object(r)
	if err := k.client.Create(ctx, obj); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return record.Record{}, fmt.Errorf("add %s: %w", r.Name(), record.ErrExists)
		}
		return record.Record{}, fmt.Errorf("add %s: %w", r.Name(), err)
	}
	return FromObject(obj)
}

// Change turns the record before into after; the digest stays. It returns ErrStale if the store
// holds another version than before, and ErrGone if it holds none.
func (k *Store) Change(ctx context.Context, before, after record.Record) (record.Record, error) {
	if before.Revision == "" { // not read from a store, so it is no version of a stored record
		return record.Record{}, fmt.Errorf("change %s: %w", before.Name(), record.ErrStale)
	}
	old := k.object(before)
	obj := k.object(after)
	patch := client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})
	if err := k.client.Patch(ctx, obj, patch); err != nil {
		return record.Record{}, fmt.Errorf("change %s: %w", before.Name(), storeError(err))
	}
	return FromObject(obj)
}

// Renew gives a record that was added but never delivered the content that it would have if it were
// added now.
func (k *Store) Renew(ctx context.Context, stored, r record.Record) (record.Record, error) {
	r.Revision, r.UID = stored.Revision, stored.UID
	return k.Change(ctx, stored, r)
}

// Retire deletes the record: from now on its credential is rejected. A record that is gone is no
// error. Retire returns ErrStale if the record has changed since it was read.
func (k *Store) Retire(ctx context.Context, r record.Record) error {
	err := k.client.Delete(ctx, k.object(r), client.Preconditions{
		UID:             new(types.UID(r.UID)),
		ResourceVersion: &r.Revision,
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("retire %s: %w", r.Name(), storeError(err))
	}
	return nil
}

// Claim deletes the record. It succeeds for exactly one of all callers. It returns ErrGone if
// another caller was first, and ErrStale if the record has changed since it was read.
func (k *Store) Claim(ctx context.Context, r record.Record) error {
	err := k.client.Delete(ctx, k.object(r), client.Preconditions{
		UID:             new(types.UID(r.UID)),
		ResourceVersion: &r.Revision,
	})
	if err != nil {
		return fmt.Errorf("claim %s: %w", r.Name(), storeError(err))
	}
	return nil
}

// RetireAnyway deletes the record, whatever has changed about it since it was read.
func (k *Store) RetireAnyway(ctx context.Context, r record.Record) error {
	if r.UID == "" { // not read from a store: the stored record may be another one
		return fmt.Errorf("retire %s: %w", r.Name(), record.ErrStale)
	}
	err := k.client.Delete(ctx, k.object(r), client.Preconditions{UID: new(types.UID(r.UID))})
	// The name should now belong to a record of another UID, which means that this one is gone.
	if apierrors.IsConflict(err) {
		now, readErr := k.Confirm(ctx, r.Name())
		if errors.Is(readErr, record.ErrGone) || readErr == nil && now.UID != r.UID {
			return nil
		}
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("retire %s: %w", r.Name(), err)
	}
	return nil
}

// Use writes to the status of a record when and from which address it was last used. An empty from
// means an unknown address. It returns ErrGone if there is no record of that name.
func (k *Store) Use(ctx context.Context, name string, at time.Time, from string) error {
	// Setting lastUsedFrom to nil clears the address of an earlier use.
	status := map[string]any{"lastUsedAt": metav1.NewTime(at), "lastUsedFrom": nil}
	if from != "" {
		status["lastUsedFrom"] = from
	}
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return fmt.Errorf("note the use of %s: %w", name, err)
	}
	obj := &v1alpha1.TokenRecord{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: name}}
	if err := k.client.Status().Patch(ctx, obj, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("note the use of %s: %w", name, storeError(err))
	}
	return nil
}

// Get returns the record of that name, from the cache if there is one. It returns ErrGone if there
// is none.
func (k *Store) Get(ctx context.Context, name string) (record.Record, error) {
	return k.get(ctx, k.client, name)
}

// Confirm returns the record of that name from the API server, because a cached "gone" is a rumor.
func (k *Store) Confirm(ctx context.Context, name string) (record.Record, error) {
	return k.get(ctx, k.apiReader, name)
}

// Find returns the record of a digest from the API server. It returns ErrGone if there is none.
func (k *Store) Find(ctx context.Context, d token.Digest) (record.Record, error) {
	r, err := k.Confirm(ctx, d.RecordName())
	if err != nil {
		return record.Record{}, err
	}
	if r.Digest != d {
		return record.Record{}, fmt.Errorf("find %s: %w", d.RecordName(), record.ErrAmbiguous)
	}
	return r, nil
}

// OwnedBy selects the records of an owner in a cache that has IndexOwner. With a field each for
// namespace and name, a cache would check every record that matches the first of them: the owner of
// a login has no namespace, and many tokens have the same name.
func OwnedBy(namespace, name string) client.MatchingFields {
	return client.MatchingFields{IndexOwner: namespace + "/" + name}
}

// OwnerOf returns the value by which IndexOwner finds a TokenRecord.
func OwnerOf(obj client.Object) []string {
	owner := obj.(*v1alpha1.TokenRecord).Spec.Owner
	return []string{owner.Namespace + "/" + owner.Name}
}

// ListByOwner lists the records of an owner, in no particular order. It matches kind, namespace and
// name, and ignores the UID.
func (k *Store) ListByOwner(ctx context.Context, owner record.Owner) ([]record.Record, error) {
	var list v1alpha1.TokenRecordList
	err := k.client.List(ctx, &list, client.InNamespace(k.namespace), OwnedBy(owner.Namespace, owner.Name),
		client.DisableReadYourWritesConsistency) // would wait for the writes of all owners
	if err != nil {
		return nil, fmt.Errorf("list the records of %s/%s: %w", owner.Namespace, owner.Name, err)
	}
	rs := make([]record.Record, 0, len(list.Items))
	for i := range list.Items {
		// Get each record by itself, so that at least this replica's own writes to it are seen.
		r, err := k.Get(ctx, list.Items[i].Name)
		if errors.Is(err, record.ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if r.Owner.Kind == owner.Kind {
			rs = append(rs, r)
		}
	}
	return rs, nil
}

// ConfirmByOwner reads records of an owner from the API server, each by its name. It reads the
// records in the cache, the records in named, and those that any of them took over from. Each read
// has the same cost, however many records there are. The API server would serve a list by field or
// by label by looking at every record.
func (k *Store) ConfirmByOwner(ctx context.Context, owner record.Owner, named ...string) ([]record.Record, error) {
	var list v1alpha1.TokenRecordList
	err := k.client.List(ctx, &list, client.InNamespace(k.namespace), OwnedBy(owner.Namespace, owner.Name),
		client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency)
	if err != nil {
		return nil, fmt.Errorf("list the records of %s/%s: %w", owner.Namespace, owner.Name, err)
	}
	names := slices.Clone(named)
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	var rs []record.Record
	read := map[string]bool{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if read[name] || !record.IsName(name) {
			continue
		}
		read[name] = true
		r, err := k.Confirm(ctx, name)
		if errors.Is(err, record.ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if r.Owner.Kind == owner.Kind && r.Owner.Namespace == owner.Namespace && r.Owner.Name == owner.Name {
			rs, names = append(rs, r), append(names, r.Predecessor)
		}
	}
	return rs, nil
}

// ListByFamily lists the records of a session that can be refreshed. There is one, or more if a
// refresh is under way or was interrupted. If sure is set, they are read from the API server.
func (k *Store) ListByFamily(ctx context.Context, family token.Digest, sure bool) ([]record.Record, error) {
	var list v1alpha1.TokenRecordList
	var from client.Reader = k.client
	of := []client.ListOption{client.InNamespace(k.namespace), client.MatchingFields{FieldFamily: family.String()}}
	if sure {
		from = k.apiReader
	} else {
		of = append(of, client.DisableReadYourWritesConsistency) // would wait for the writes of all owners
	}
	if err := from.List(ctx, &list, of...); err != nil {
		return nil, fmt.Errorf("list the records of a session: %w", err)
	}
	var rs []record.Record
	for i := range list.Items {
		if IsDeleted(&list.Items[i]) {
			continue
		}
		r, err := FromObject(&list.Items[i])
		if err != nil {
			return nil, err
		}
		rs = append(rs, r)
	}
	return rs, nil
}

func (k *Store) get(ctx context.Context, from client.Reader, name string) (record.Record, error) {
	var obj v1alpha1.TokenRecord
	if err := from.Get(ctx, types.NamespacedName{Namespace: k.namespace, Name: name}, &obj); err != nil {
		return record.Record{}, fmt.Errorf("get %s: %w", name, storeError(err))
	}
	if IsDeleted(&obj) {
		return record.Record{}, fmt.Errorf("get %s: %w", name, record.ErrGone)
	}
	return FromObject(&obj)
}

// IsDeleted reports whether a TokenRecord no longer vouches for anything. Deleting it is a
// revocation. A finalizer, such as that of a foreground deletion, delays the removal of the object
// but not the revocation.
func IsDeleted(obj *v1alpha1.TokenRecord) bool { return !obj.DeletionTimestamp.IsZero() }

func storeError(err error) error {
	switch {
	case apierrors.IsConflict(err):
		return record.ErrStale
	case apierrors.IsNotFound(err):
		return record.ErrGone
	default:
		return err
	}
}
