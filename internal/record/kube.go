package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

var (
	// ErrExists reports that the store has a record of that name already.
	ErrExists = errors.New("the record exists already")
	// ErrGone reports that the record is not in the store any more. It never comes back.
	ErrGone = errors.New("the record is gone")
	// ErrStale reports that the record has changed since it was read: read it and decide again.
	ErrStale = errors.New("the record has changed meanwhile")
	// ErrAmbiguous reports that two credentials share the first half of their digests, or that a
	// record was tampered with.
	ErrAmbiguous = errors.New("the record is of another credential")
)

// Fields by which records are listed.
const (
	FieldFamily = "spec.refresh.family" // from the API server as from a cache
	IndexOwner  = "owner"               // from a cache alone, see OwnedBy
)

// Kube stores records as TokenRecords in one namespace.
type Kube struct {
	client    client.Client // reads may come from a cache
	live      client.Reader // reads come from the API server
	namespace string
}

// NewKube returns a store over the TokenRecords of a namespace. Confirm, Find, ConfirmOf and a sure
// Family read from live; all other reads come from c.
func NewKube(c client.Client, live client.Reader, namespace string) *Kube {
	return &Kube{client: c, live: live, namespace: namespace}
}

// Namespace returns the namespace of the records.
func (k *Kube) Namespace() string { return k.namespace }

// Add stores a new record. It returns ErrExists if a record of that name exists. After any other
// error the record may or may not be stored.
func (k *Kube) Add(ctx context.Context, r Record) (Record, error) {
	obj := k.object(r)
	if err := k.client.Create(ctx, obj); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return Record{}, fmt.Errorf("add %s: %w", r.Name(), ErrExists)
		}
		return Record{}, fmt.Errorf("add %s: %w", r.Name(), err)
	}
	return FromObject(obj)
}

// Change turns the record before into after; the digest stays. It returns ErrStale if the store
// holds another version than before, and ErrGone if it holds none.
func (k *Kube) Change(ctx context.Context, before, after Record) (Record, error) {
	if before.revision == "" { // not read from a store, so it is no version of a stored record
		return Record{}, fmt.Errorf("change %s: %w", before.Name(), ErrStale)
	}
	old := k.object(before)
	obj := k.object(after)
	patch := client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})
	if err := k.client.Patch(ctx, obj, patch); err != nil {
		return Record{}, fmt.Errorf("change %s: %w", before.Name(), classify(err))
	}
	return FromObject(obj)
}

// Renew gives a record that was added but never delivered the content that it would have if it were
// added now.
func (k *Kube) Renew(ctx context.Context, stored, r Record) (Record, error) {
	r.revision, r.uid = stored.revision, stored.uid
	return k.Change(ctx, stored, r)
}

// Retire deletes the record: from now on its credential is rejected. A record that is gone is no
// error. Retire returns ErrStale if the record has changed since it was read.
func (k *Kube) Retire(ctx context.Context, r Record) error {
	err := k.client.Delete(ctx, k.object(r), client.Preconditions{
		UID:             new(types.UID(r.uid)),
		ResourceVersion: &r.revision,
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("retire %s: %w", r.Name(), classify(err))
	}
	return nil
}

// Claim deletes the record. It succeeds for exactly one of all callers. It returns ErrGone if
// another caller was first, and ErrStale if the record has changed since it was read.
func (k *Kube) Claim(ctx context.Context, r Record) error {
	err := k.client.Delete(ctx, k.object(r), client.Preconditions{
		UID:             new(types.UID(r.uid)),
		ResourceVersion: &r.revision,
	})
	if err != nil {
		return fmt.Errorf("claim %s: %w", r.Name(), classify(err))
	}
	return nil
}

// RetireAnyway deletes the record, whatever has changed about it since it was read.
func (k *Kube) RetireAnyway(ctx context.Context, r Record) error {
	if r.uid == "" { // not read from a store: the stored record may be another one
		return fmt.Errorf("retire %s: %w", r.Name(), ErrStale)
	}
	err := k.client.Delete(ctx, k.object(r), client.Preconditions{UID: new(types.UID(r.uid))})
	// The name should now belong to a record of another UID, which means that this one is gone.
	if apierrors.IsConflict(err) {
		now, readErr := k.Confirm(ctx, r.Name())
		if errors.Is(readErr, ErrGone) || readErr == nil && now.uid != r.uid {
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
func (k *Kube) Use(ctx context.Context, name string, at time.Time, from string) error {
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
		return fmt.Errorf("note the use of %s: %w", name, classify(err))
	}
	return nil
}

// Get returns the record of that name, from the cache if there is one. It returns ErrGone if there
// is none.
func (k *Kube) Get(ctx context.Context, name string) (Record, error) {
	return k.get(ctx, k.client, name)
}

// Confirm returns the record of that name from the API server, because a cached "gone" is a rumor.
func (k *Kube) Confirm(ctx context.Context, name string) (Record, error) {
	return k.get(ctx, k.live, name)
}

// Find returns the record of a digest from the API server. It returns ErrGone if there is none.
func (k *Kube) Find(ctx context.Context, d token.Digest) (Record, error) {
	r, err := k.Confirm(ctx, d.RecordName())
	if err != nil {
		return Record{}, err
	}
	if r.Digest != d {
		return Record{}, fmt.Errorf("find %s: %w", d.RecordName(), ErrAmbiguous)
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

// Of lists the records of an owner, in no particular order. It matches kind, namespace and name,
// and ignores the UID.
func (k *Kube) Of(ctx context.Context, owner Owner) ([]Record, error) {
	var list v1alpha1.TokenRecordList
	err := k.client.List(ctx, &list, client.InNamespace(k.namespace), OwnedBy(owner.Namespace, owner.Name),
		client.DisableReadYourWritesConsistency) // would wait for the writes of all owners
	if err != nil {
		return nil, fmt.Errorf("list the records of %s/%s: %w", owner.Namespace, owner.Name, err)
	}
	rs := make([]Record, 0, len(list.Items))
	for i := range list.Items {
		// Get each record by itself, so that at least this replica's own writes to it are seen.
		r, err := k.Get(ctx, list.Items[i].Name)
		if errors.Is(err, ErrGone) {
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

// recordName matches the names that Record.Name returns.
var recordName = regexp.MustCompile(`^at-[0-9a-f]{32}$`)

// IsName reports whether a record can have the name. Users of the namespace can write some of the
// fields that name records.
func IsName(name string) bool { return recordName.MatchString(name) }

// ConfirmOf reads records of an owner from the API server, each by its name. It reads the records
// in the cache, the records in named, and those that any of them took over from. Each read has the
// same cost, however many records there are. The API server would serve a list by field or by label
// by looking at every record.
func (k *Kube) ConfirmOf(ctx context.Context, owner Owner, named ...string) ([]Record, error) {
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
	var rs []Record
	read := map[string]bool{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if read[name] || !IsName(name) {
			continue
		}
		read[name] = true
		r, err := k.Confirm(ctx, name)
		if errors.Is(err, ErrGone) {
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

// Family lists the records of a session that can be refreshed. There is one, or more if a refresh
// is under way or was interrupted. If sure is set, they are read from the API server.
func (k *Kube) Family(ctx context.Context, family token.Digest, sure bool) ([]Record, error) {
	var list v1alpha1.TokenRecordList
	var from client.Reader = k.client
	of := []client.ListOption{client.InNamespace(k.namespace), client.MatchingFields{FieldFamily: family.String()}}
	if sure {
		from = k.live
	} else {
		of = append(of, client.DisableReadYourWritesConsistency) // would wait for the writes of all owners
	}
	if err := from.List(ctx, &list, of...); err != nil {
		return nil, fmt.Errorf("list the records of a session: %w", err)
	}
	var rs []Record
	for i := range list.Items {
		if deleted(&list.Items[i]) {
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

func (k *Kube) get(ctx context.Context, from client.Reader, name string) (Record, error) {
	var obj v1alpha1.TokenRecord
	if err := from.Get(ctx, types.NamespacedName{Namespace: k.namespace, Name: name}, &obj); err != nil {
		return Record{}, fmt.Errorf("get %s: %w", name, classify(err))
	}
	if deleted(&obj) {
		return Record{}, fmt.Errorf("get %s: %w", name, ErrGone)
	}
	return FromObject(&obj)
}

// deleted reports whether a TokenRecord no longer vouches for anything. Deleting it is a
// revocation. A finalizer, such as that of a foreground deletion, delays the removal of the object
// but not the revocation.
func deleted(obj *v1alpha1.TokenRecord) bool { return !obj.DeletionTimestamp.IsZero() }

func classify(err error) error {
	switch {
	case apierrors.IsConflict(err):
		return ErrStale
	case apierrors.IsNotFound(err):
		return ErrGone
	default:
		return err
	}
}
