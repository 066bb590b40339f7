package operatortest

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/render"
	"github.com/apptoken/operator/internal/token"
)

// History holds what was observed of the fixture so far. The invariants are checked against it.
type History struct {
	alive     map[string]time.Time // superseded records by name, and when they expire
	seen      map[string]bool      // records that were observed
	gone      map[string]bool      // records that were observed, and later were gone
	Delivered []token.Digest       // tokens that the Secret held, in this order
	Revoked   string               // the record that a test deleted
	Ending    bool                 // revoked or deleted: no token has to be accepted any more
}

// CheckInvariants checks the fixture against the invariants of the design, as it is at this moment.
func (w *Fixture) CheckInvariants() error {
	var list v1alpha1.TokenRecordList
	if err := w.api.List(w.Ctx, &list, client.InNamespace(w.OwnNamespace)); err != nil {
		return err
	}
	live := map[string]record.Record{}
	predecessors := 0
	for i := range list.Items {
		r, err := kube.FromObject(&list.Items[i])
		if err != nil {
			return err
		}
		if w.History.gone[r.Name()] {
			return fmt.Errorf("[3] record %s was gone and is back", r.Name())
		}
		if !r.SupersededAt.IsZero() {
			predecessors++
			if end, ok := w.History.alive[r.Name()]; r.ExpiresAt.IsZero() || ok && r.ExpiresAt.After(end) {
				return fmt.Errorf("[5] the life of predecessor %s was extended", r.Name())
			}
			w.History.alive[r.Name()] = r.ExpiresAt
		}
		live[r.Name()] = r
	}
	if predecessors > 3 {
		return fmt.Errorf("%d predecessors are kept", predecessors)
	}
	for name := range w.History.seen {
		if _, ok := live[name]; !ok {
			w.History.gone[name] = true
		}
	}
	for name := range live {
		w.History.seen[name] = true
	}
	return w.checkSecret(live)
}

// checkSecret checks what a workload has: the token in the Secret, and the one before.
func (w *Fixture) checkSecret(live map[string]record.Record) error {
	var secret corev1.Secret
	if err := w.api.Get(w.Ctx, w.Key(), &secret); err != nil {
		return client.IgnoreNotFound(err)
	}
	held, err := token.Parse(string(secret.Data["token"]))
	if err != nil {
		return fmt.Errorf("the Secret holds no token: %w", err)
	}
	n := len(w.History.Delivered)
	if n == 0 || w.History.Delivered[n-1] != held.Digest() {
		w.History.Delivered = append(w.History.Delivered, held.Digest())
		n++
	}
	if w.History.Ending {
		return nil
	}
	if r, ok := live[held.Digest().RecordName()]; !ok || r.Suspended || !r.SupersededAt.IsZero() && !w.Now.Before(r.ExpiresAt) {
		return errors.New("[2] the Secret holds a token that no live record vouches for")
	}
	if _, ok := render.Find(secret.Data, held.Digest()); !ok {
		return errors.New("[2] the token in the Secret is not found again")
	}
	if n < 2 || w.History.Delivered[n-2].RecordName() == w.History.Revoked {
		return nil
	}
	before, ok := live[w.History.Delivered[n-2].RecordName()]
	if ok && before.SupersededAt.IsZero() || ok && w.Now.Before(before.ExpiresAt) {
		return nil
	}
	if current := live[held.Digest().RecordName()]; w.Now.Before(current.IssuedAt.Add(10 * time.Minute)) {
		return errors.New("the predecessor is dead within its minOverlap: pods that hold it fail")
	}
	return nil
}
