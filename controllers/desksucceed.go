package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// turn is what a version is made after, as it was when that was decided.
type turn struct {
	wish    wish
	request plan.Request
	records map[string]record.Record
	plan    plan.Plan
}

// subject is the record that the plan is about: of the version that a new one takes over from or replaces.
func (t turn) subject() record.Record { return t.records[t.plan.Version.Record] }

// successor is a version and its plaintext, of which nobody was told yet.
type successor struct {
	record.Record
	tok token.Token
}

// succeed makes a version that takes over, and says so in the object by its resource version: of many who try, one
// succeeds, and the others decide again on what there is then.
func (d *Desk) succeed(ctx context.Context, at *v1alpha1.ApplicationToken, may audience, r plan.Request) (desk.Issued, error) {
	var mine *successor
	fail := func(err error) (desk.Issued, error) {
		if mine != nil {
			d.drop(ctx, mine.Record)
		}
		return desk.Issued{}, unavailable(err)
	}
	landed := func() bool { return mine != nil && deliveredRecord(at) == mine.Name() } // and the answer was lost
	unheard := 0
	var t turn
	for range mostTries {
		now, err := d.turn(ctx, at, may, r)
		switch {
		case errors.Is(err, errMoved) && landed():
			return d.succeeded(ctx, at, t, mine), nil
		case errors.Is(err, errMoved):
			continue
		case err != nil:
			return fail(err)
		}
		t = now
		if mine, err = d.prepare(ctx, at, t, mine); err != nil {
			return fail(err)
		}
		before := at.DeepCopy()
		setNamedRecord(at, mine.Name())
		err = d.Client.Patch(ctx, at, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), fieldOwner)
		if err == nil {
			return d.succeeded(ctx, at, t, mine), nil
		}
		if !apierrors.IsConflict(err) {
			unheard++
		}
		var read v1alpha1.ApplicationToken
		if readErr := d.Live.Get(ctx, client.ObjectKeyFromObject(before), &read); client.IgnoreNotFound(readErr) != nil {
			return desk.Issued{}, unavailable(err) // it may be the one all the same: what is left is for whoever asks again
		} else if readErr != nil || read.UID != before.UID || !read.DeletionTimestamp.IsZero() {
			return fail(desk.ErrMissing)
		}
		*at = read
		if landed() {
			return d.succeeded(ctx, at, t, mine), nil
		}
		if unheard > mostUnheard {
			return desk.Issued{}, unavailable(err)
		}
	}
	return fail(fmt.Errorf("%s changes all the time", at.Name))
}

// turn looks at what there is, by the word of the API server, and decides. It makes room for another predecessor first, as
// the planner does: after a crash behind the decision nothing would, and there would be more than are kept.
func (d *Desk) turn(ctx context.Context, at *v1alpha1.ApplicationToken, may audience, r plan.Request) (turn, error) {
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
	t := turn{wish: w, request: r, records: make(map[string]record.Record, len(list))}
	for _, r := range list {
		t.records[r.Name()] = r
	}
	have := observed(at, list, deliveredRecord(at))
	if have.Current == nil {
		return turn{}, d.moved(ctx, at)
	}
	if c := have.Current; c.LastUsedAt.IsZero() && d.Used(t.records[c.Record].Digest) {
		c.LastUsedAt = d.now()
	}
	have.UsesKnownFrom = usesKnownFrom(time.Time{}, d.LastOutage)
	t.plan = plan.ForRequest(d.now(), w.Desired, have, r)
	if err := d.refusalOf(t.plan, w); err != nil {
		return turn{}, err
	}
	if t.plan.Do != plan.RetireOne {
		return t, nil
	}
	return turn{}, d.makeRoom(ctx, t.subject())
}

// makeRoom deletes the record of a predecessor, unless it has changed since it was read: a use that
// was written meanwhile keeps it. It returns errMoved where there is to be decided again.
func (d *Desk) makeRoom(ctx context.Context, r record.Record) error {
	err := d.Records.Retire(ctx, r)
	if errors.Is(err, record.ErrStale) {
		return errMoved
	}
	if err != nil {
		return unavailable(err)
	}
	d.Ended(r.Digest)
	return errMoved
}

// errMoved reports that another version has taken over since the object was read, or that a
// predecessor has gone or changed.
var errMoved = errors.New("another version has taken over, or a predecessor has changed")

// moved reads an object anew whose current version is gone.
func (d *Desk) moved(ctx context.Context, at *v1alpha1.ApplicationToken) error {
	var now v1alpha1.ApplicationToken
	err := d.Live.Get(ctx, client.ObjectKeyFromObject(at), &now)
	switch {
	case apierrors.IsNotFound(err), err == nil && (now.UID != at.UID || !now.DeletionTimestamp.IsZero()):
		return desk.ErrMissing
	case err != nil:
		return err
	case deliveredRecord(&now) == deliveredRecord(at):
		return refused("", "has no version that is good; revoke it, and make a new one")
	}
	*at = now
	return errMoved
}

// prepare stores the record of the version that t asks for, unless the one that was stored for an earlier turn is the same.
func (d *Desk) prepare(ctx context.Context, at *v1alpha1.ApplicationToken, t turn, mine *successor) (*successor, error) {
	tok, _, err := d.mint(t.wish.kind)
	if err != nil {
		return mine, err
	}
	r, c := d.recordOf(at, t.wish, tok), t.subject()
	r.Version, r.Predecessor, r.Request = c.Version+1, c.Name(), t.request.ID
	r.AuthorizedAt, r.ExpiresAt = t.plan.AuthorizedAt, t.plan.ExpiresAt
	if t.plan.Do == plan.Replace { // the same version once more
		r.Version, r.Predecessor, r.IssuedAt, r.AuthorizedAt = c.Version, c.Predecessor, c.IssuedAt, c.AuthorizedAt
	}
	if mine != nil && alike(mine.Record, r) {
		return mine, nil
	}
	if mine != nil {
		d.drop(ctx, mine.Record)
	}
	if r, err = d.add(ctx, r); err != nil {
		return nil, err
	}
	return &successor{r, tok}, nil
}

// alike says whether a record that was stored will do in place of another that is wanted.
func alike(a, b record.Record) bool {
	return a.Version == b.Version && a.Predecessor == b.Predecessor && a.Request == b.Request && a.Client == b.Client && a.User == b.User && a.UserUID == b.UserUID &&
		a.Kind == b.Kind && a.Suspended == b.Suspended && slices.Equal(a.Roles, b.Roles) &&
		slices.Equal(a.Permissions, b.Permissions) && slices.Equal(a.SourceRanges, b.SourceRanges) &&
		a.IssuedAt.Equal(b.IssuedAt) && a.AuthorizedAt.Equal(b.AuthorizedAt) && a.ExpiresAt.Equal(b.ExpiresAt)
}

// succeeded ends what the version takes over from: the predecessor after its overlap, what it replaces at once. The answer
// is given in any case; what cannot be written here, the reconciler and the sweep do.
func (d *Desk) succeeded(ctx context.Context, at *v1alpha1.ApplicationToken, t turn, mine *successor) desk.Issued {
	before := t.subject()
	if t.plan.Do == plan.Replace {
		d.drop(ctx, before)
		before = t.records[before.Predecessor]
	}
	if before.Version > 0 {
		d.supersede(ctx, before, mine.IssuedAt, t.wish.Retire.Max)
	}
	if t.request.Holder != "" {
		d.Events.Eventf(at, nil, corev1.EventTypeNormal, v1alpha1.EventSelfRotated, "Rotate", selfRotated, mine.Version, mine.Hint, before.Hint)
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
