package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// next says whether the current version is to be replaced, since the answer that gave it was lost, or to be succeeded.
type next func(current record.Record) (retry bool, err error)

// turn is what a successor takes over from, as it was when that was decided.
type turn struct {
	wish    wish
	records map[string]record.Record
	current record.Record
	retry   bool
}

// successor is a version and its plaintext, of which nobody was told yet.
type successor struct {
	record.Record
	tok token.Token
}

// succeed makes a version that takes over, and says so in the object by its resource version: of many who try, one
// succeeds, and the others decide again on what there is then.
func (d *Desk) succeed(ctx context.Context, at *v1alpha1.ApplicationToken, trigger string, may audience, next next) (desk.Issued, error) {
	var mine *successor
	fail := func(err error) (desk.Issued, error) {
		if mine != nil {
			d.drop(ctx, mine.Record)
		}
		return desk.Issued{}, unavailable(err)
	}
	unheard := 0
	for range mostTries {
		t, err := d.turn(ctx, at, may, next)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return fail(err)
		}
		if mine, err = d.prepare(ctx, at, t, trigger, mine); err != nil {
			return fail(err)
		}
		before := at.DeepCopy()
		at.Annotations[v1alpha1.AnnotationRecord] = mine.Name()
		err = d.Client.Patch(ctx, at, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), fieldOwner)
		if err == nil {
			return d.succeeded(ctx, at, t, mine), nil
		}
		if !apierrors.IsConflict(err) {
			unheard++
		}
		var now v1alpha1.ApplicationToken
		if readErr := d.Live.Get(ctx, client.ObjectKeyFromObject(before), &now); client.IgnoreNotFound(readErr) != nil {
			return desk.Issued{}, unavailable(err) // it may be the one all the same: what is left is for whoever asks again
		} else if readErr != nil || now.UID != before.UID || !now.DeletionTimestamp.IsZero() {
			return fail(desk.ErrMissing)
		}
		*at = now
		if at.Annotations[v1alpha1.AnnotationRecord] == mine.Name() { // the answer was lost
			return d.succeeded(ctx, at, t, mine), nil
		}
		if unheard > mostUnheard {
			return desk.Issued{}, unavailable(err)
		}
	}
	return fail(fmt.Errorf("%s changes all the time", at.Name))
}

// turn looks at what there is, by the word of the API server, and decides.
func (d *Desk) turn(ctx context.Context, at *v1alpha1.ApplicationToken, may audience, next next) (turn, error) {
	w, around, err := d.understand(ctx, at, false)
	if err == nil {
		err = standing(w, around)
	}
	if err == nil {
		err = may(authorityOf(w, d.endOf(w)))
	}
	if err != nil {
		return turn{}, err
	}
	list, err := d.recordsOf(ctx, at)
	if err != nil {
		return turn{}, err
	}
	t := turn{wish: w, records: make(map[string]record.Record, len(list))}
	for _, r := range list {
		t.records[r.Name()] = r
	}
	var there bool
	if t.current, there = t.records[at.Annotations[v1alpha1.AnnotationRecord]]; !there {
		return turn{}, d.moved(ctx, at)
	}
	if t.retry, err = next(t.current); err != nil {
		return turn{}, err
	}
	if t.current.Over(d.now()) {
		return turn{}, refused("", "it has expired; make a new one")
	}
	return t, nil
}

// errMoved says that another version has taken over since the object was read.
var errMoved = errors.New("another version has taken over")

// moved reads an object anew whose current version is gone.
func (d *Desk) moved(ctx context.Context, at *v1alpha1.ApplicationToken) error {
	var now v1alpha1.ApplicationToken
	err := d.Live.Get(ctx, client.ObjectKeyFromObject(at), &now)
	switch {
	case apierrors.IsNotFound(err), err == nil && (now.UID != at.UID || !now.DeletionTimestamp.IsZero()):
		return desk.ErrMissing
	case err != nil:
		return err
	case now.Annotations[v1alpha1.AnnotationRecord] == at.Annotations[v1alpha1.AnnotationRecord]:
		return refused("", "has no version that is good; revoke it, and make a new one")
	}
	*at = now
	return errMoved
}

// prepare stores the record of the version that t asks for, unless the one that was stored for an earlier turn is as good,
// and makes room for another predecessor. Room is made first, as by the planner: after a crash behind the decision nobody
// would make it, and there would be more than are kept.
func (d *Desk) prepare(ctx context.Context, at *v1alpha1.ApplicationToken, t turn, trigger string, mine *successor) (*successor, error) {
	tok, _, err := d.mint(t.wish.kind)
	if err != nil {
		return mine, err
	}
	r := d.recordOf(at, t.wish, tok)
	r.Version, r.Predecessor, r.Trigger = t.current.Version+1, t.current.Name(), trigger
	if t.retry {
		r.Version, r.Predecessor, r.Trigger = t.current.Version, t.current.Predecessor, t.current.Trigger
	}
	if mine == nil || !alike(mine.Record, r) {
		if mine != nil {
			d.drop(ctx, mine.Record)
		}
		if r, err = d.add(ctx, r); err != nil {
			return nil, err
		}
		mine = &successor{r, tok}
	}
	if t.retry {
		return mine, nil
	}
	var before []record.Record
	for name, p := range t.records {
		if name != t.current.Name() && (!p.SupersededAt.IsZero() || name == t.current.Predecessor) {
			before = append(before, p)
		}
	}
	slices.SortFunc(before, func(a, b record.Record) int { return int(b.Version - a.Version) })
	return mine, d.end(ctx, before[min(len(before), plan.MaxPredecessors-1):]...)
}

// alike says whether a record that was stored will do in place of another that is wanted.
func alike(a, b record.Record) bool {
	return a.Version == b.Version && a.Predecessor == b.Predecessor && a.Trigger == b.Trigger && a.Client == b.Client && a.User == b.User && a.UserUID == b.UserUID &&
		a.Kind == b.Kind && a.Suspended == b.Suspended && a.ExpiresAt.IsZero() == b.ExpiresAt.IsZero() && slices.Equal(a.Roles, b.Roles) &&
		slices.Equal(a.Permissions, b.Permissions) && slices.Equal(a.SourceRanges, b.SourceRanges)
}

// succeeded ends what the version takes over from: the predecessor after its overlap, what it replaces at once. The answer
// is given in any case; what cannot be written here, the reconciler and the sweep do.
func (d *Desk) succeeded(ctx context.Context, at *v1alpha1.ApplicationToken, t turn, mine *successor) desk.Issued {
	before, since := t.current, mine.IssuedAt
	if t.retry {
		d.drop(ctx, t.current)
		before, since = t.records[t.current.Predecessor], t.current.IssuedAt
	}
	if before.Version > 0 {
		d.supersede(ctx, before, since, t.wish.Retire.Max)
	}
	return desk.Issued{Token: d.view(at, &mine.Record), Secret: mine.tok}
}

// supersede says of a version that another took over, and when it ends. It never lives longer for that.
func (d *Desk) supersede(ctx context.Context, r record.Record, since time.Time, overlap time.Duration) {
	_ = d.rewrite(ctx, r, func(r *record.Record) bool { //nolint:errcheck // the reconciler does it then
		if !r.SupersededAt.IsZero() {
			return false
		}
		r.SupersededAt, r.ExpiresAt = since, earliest(r.ExpiresAt, since.Add(overlap))
		return true
	})
}
