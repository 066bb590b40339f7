package issue

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
)

// Outcome is how an attempt to make a version current ended.
type Outcome int

// Outcomes of an attempt.
const (
	// Undecided means that the version is not known to be current, and may be tried again: Issue
	// keeps its record.
	Undecided Outcome = iota
	Committed         // the version is current
	Lost              // the version never becomes current: no write that makes it so can still succeed
)

// Arbiter makes the version of a record current. A response can be lost, or answer a repetition of
// a write that succeeded. So an Arbiter returns Lost only after it has read what the API server
// holds.
type Arbiter func(ctx context.Context, r record.Record) (Outcome, error)

// Issuer writes the records of versions. It is safe for concurrent use.
type Issuer struct {
	Client  client.Client
	Records *kube.Store
	Ended   func(token.Digest) // called with each credential whose record was deleted; nil: not called
}

// Issue stores the record of a version, and has the arbiter make the version current. It deletes
// the record of a version that lost. stored is the record of an earlier attempt with the same
// plaintext; the zero value means that there is none. Issue returns the record as it is stored.
func (i Issuer) Issue(ctx context.Context, stored, r record.Record, commit Arbiter) (record.Record, Outcome, error) {
	r, err := i.store(ctx, stored, r)
	if err != nil {
		return stored, Undecided, err
	}
	outcome, err := commit(ctx, r)
	if outcome == Lost {
		if retireErr := i.Retire(ctx, r); retireErr != nil {
			err = &RecordLeftError{Lost: err, Err: retireErr}
		}
	}
	return r, outcome, err
}

// RecordLeftError reports that the record of a version that lost could not be deleted. Garbage
// collection deletes it.
type RecordLeftError struct {
	Lost error // the error of the arbiter; nil: none
	Err  error // the error of the deletion
}

func (e *RecordLeftError) Error() string { return errors.Join(e.Lost, e.Err).Error() }

// Unwrap returns both errors.
func (e *RecordLeftError) Unwrap() []error { return []error{e.Lost, e.Err} }

// store stores a record. If the response to an addition is lost, or answers a repetition, the
// stored record shows that it succeeded. A record that was stored before is renewed even if nothing
// changes: that shows that it was not revoked since.
func (i Issuer) store(ctx context.Context, stored, r record.Record) (record.Record, error) {
	if stored.UID != "" {
		return i.Records.Renew(ctx, stored, r)
	}
	added, err := i.Records.Add(ctx, r)
	if err == nil {
		return added, nil
	}
	if there, findErr := i.Records.Find(ctx, r.Digest); findErr == nil {
		return there, nil // no other record has its digest
	}
	return record.Record{}, err
}

// Retire deletes records, whatever has changed about them since they were read: their credentials
// are rejected from now on.
func (i Issuer) Retire(ctx context.Context, records ...record.Record) error {
	for _, r := range records {
		if err := i.Records.RetireAnyway(ctx, r); err != nil {
			return err
		}
		i.ended(r)
	}
	return nil
}

// RetireUnchanged deletes a record. It returns record.ErrStale if the record has changed since it
// was read: a use that was written meanwhile keeps a predecessor.
func (i Issuer) RetireUnchanged(ctx context.Context, r record.Record) error {
	err := i.Records.Retire(ctx, r)
	if err == nil {
		i.ended(r)
	}
	return err
}

func (i Issuer) ended(r record.Record) {
	if i.Ended != nil {
		i.Ended(r.Digest)
	}
}

// maxEdits bounds how often a record is edited while other writers come first.
const maxEdits = 32

// Edit changes a record, unless change reports that there is nothing to change. As long as another
// writer comes first, Edit tries again on the record as it is then. A record that is gone needs no
// change.
func (i Issuer) Edit(ctx context.Context, r record.Record, change func(*record.Record) bool) error {
	var err error
	for range maxEdits {
		after := r
		if !change(&after) {
			return nil
		}
		if _, err = i.Records.Change(ctx, r, after); err == nil {
			return nil
		}
		if !errors.Is(err, record.ErrStale) && !errors.Is(err, record.ErrGone) {
			return err
		}
		var readErr error
		if r, readErr = i.Records.Confirm(ctx, r.Name()); errors.Is(readErr, record.ErrGone) {
			return nil
		} else if readErr != nil {
			return readErr
		}
	}
	return err
}

// RemoveFinalizer removes the finalizer of a deleted token, whose records the caller has ended.
func (i Issuer) RemoveFinalizer(ctx context.Context, at *v1alpha1.ApplicationToken) error {
	before := at.DeepCopy()
	if !controllerutil.RemoveFinalizer(at, v1alpha1.FinalizerRecords) {
		return nil
	}
	err := i.Client.Patch(ctx, at, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	return nil
}
