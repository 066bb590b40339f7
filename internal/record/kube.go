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
	// ErrExists says that the store has a record of that name already.
	ErrExists = errors.New("the record exists already")
	// ErrGone says that the record is not in the store any more. It never comes back.
	ErrGone = errors.New("the record is gone")
	// ErrStale says that the record has changed since it was read: read it again and decide again.
	ErrStale = errors.New("the record has changed meanwhile")
	// ErrAmbiguous says that two credentials share the first half of their digests, or that a record was tampered with.
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

// NewKube returns a store over the TokenRecords of a namespace. Its reads come from client, but for Confirm.
func NewKube(c client.Client, live client.Reader, namespace string) *Kube {
	return &Kube{client: c, live: live, namespace: namespace}
}

// Namespace in which the records are.
func (k *Kube) Namespace() string { return k.namespace }

// Add stores a new record. ErrExists if there is one of that name. After any other error it may be stored or not.
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

// Change turns the record before into after; the digest stays. ErrStale if the store holds another version than before,
// ErrGone if it holds none.
func (k *Kube) Change(ctx context.Context, before, after Record) (Record, error) {
	if before.revision == "" { // it was not read from a store, so it is no version of anything
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

// Renew gives a record that was added but never delivered what it would have if it were added now.
func (k *Kube) Renew(ctx context.Context, stored, r Record) (Record, error) {
	r.revision, r.uid = stored.revision, stored.uid
	return k.Change(ctx, stored, r)
}

// Retire deletes the record: from now on its credential is refused. A record that is gone is no error. ErrStale if it
// has changed since it was read.
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

// Claim deletes the record, once for all who try: whoever gets no error was the one. ErrGone if somebody else was, ErrStale if it
// has changed since it was read.
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
	if r.uid == "" { // it was not read from a store, so nothing tells whether the one that is there is meant
		return fmt.Errorf("retire %s: %w", r.Name(), ErrStale)
	}
	err := k.client.Delete(ctx, k.object(r), client.Preconditions{UID: new(types.UID(r.uid))})
	if apierrors.IsConflict(err) { // it should be that of another uid, which says that ours is gone
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

// Use notes in the status of a record when and from where it was last used; from nowhere that is known, if that is empty.
// ErrGone if there is none of that name.
func (k *Kube) Use(ctx context.Context, name string, at time.Time, from string) error {
	status := map[string]any{"lastUsedAt": metav1.NewTime(at), "lastUsedFrom": nil} // not the address of another use
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

// Get reads the record of that name. ErrGone if there is none.
func (k *Kube) Get(ctx context.Context, name string) (Record, error) {
	return k.get(ctx, k.client, name)
}

// Confirm reads the record of that name from the API server itself, since a cached "gone" is a rumour.
func (k *Kube) Confirm(ctx context.Context, name string) (Record, error) {
	return k.get(ctx, k.live, name)
}

// Find reads the record of a digest from the API server. ErrGone if there is none.
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

// OwnedBy selects the records of an owner in a cache that has IndexOwner. It is one field: by the namespace and the name apart a cache
// would look at every record that has either, such as each login, as the owner of which has no namespace, or each token of one name.
func OwnedBy(namespace, name string) client.MatchingFields {
	return client.MatchingFields{IndexOwner: namespace + "/" + name}
}

// OwnerOf returns what IndexOwner finds a TokenRecord by.
func OwnerOf(obj client.Object) []string {
	owner := obj.(*v1alpha1.TokenRecord).Spec.Owner
	return []string{owner.Namespace + "/" + owner.Name}
}

// Of lists the records of an owner, by its namespace and name alone, in no particular order.
func (k *Kube) Of(ctx context.Context, owner Owner) ([]Record, error) {
	var list v1alpha1.TokenRecordList
	err := k.client.List(ctx, &list, client.InNamespace(k.namespace), OwnedBy(owner.Namespace, owner.Name),
		client.DisableReadYourWritesConsistency) // would wait for the writes of all owners
	if err != nil {
		return nil, fmt.Errorf("list the records of %s/%s: %w", owner.Namespace, owner.Name, err)
	}
	rs := make([]Record, 0, len(list.Items))
	for i := range list.Items {
		// Each by itself, so that at least our own writes to it are seen.
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

// recordName is what Record.Name returns.
var recordName = regexp.MustCompile(`^at-[0-9a-f]{32}$`)

// IsName reports whether a record can have the name. Tenants write some of what names records.
func IsName(name string) bool { return recordName.MatchString(name) }

// ConfirmOf reads records of an owner from the API server, each by its name: those that the cache knows, those that are named,
// and those that any of them took over from. Each read has the same cost, however many records there are; a list by field or by
// label is served by a look at every one.
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

// Family lists the records of a session that can be refreshed: one, or more where a refresh is under way or was left in the
// middle. To be sure of them, they are read from the API server itself.
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

// deleted says that a TokenRecord vouches for nothing any more. Deleting it is a revocation, and a finalizer, that of a
// foreground deletion for one, holds back the object and not that.
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
