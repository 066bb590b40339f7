package controllers

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/record"
)

// List returns the tokens of a scope, sorted by name.
func (d *Desk) List(ctx context.Context, s desk.Scope) ([]desk.Token, error) {
	by := client.MatchingFields{IndexClient: s.Client}
	if s.User != "" {
		by = client.MatchingFields{IndexUser: s.User}
	}
	ours, err := d.within(ctx, s)
	if err != nil {
		return nil, err
	}
	var list v1alpha1.ApplicationTokenList
	if err := d.Client.List(ctx, &list, by, client.DisableReadYourWritesConsistency); err != nil {
		return nil, unavailable(err)
	}
	var tokens []desk.Token
	reads := maxListReads
	for i := range list.Items {
		if at := &list.Items[i]; ours(at) {
			t, err := d.show(ctx, at, &reads)
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, t)
		}
	}
	slices.SortFunc(tokens, func(a, b desk.Token) int { return cmp.Compare(a.Name, b.Name) })
	return tokens, nil
}

// Get returns a token. It asks the API server for a token that the cache does not have: it may have
// been made a moment ago.
func (d *Desk) Get(ctx context.Context, s desk.Scope, name string) (desk.Token, error) {
	at, err := d.find(ctx, d.Client, s, name)
	if errors.Is(err, desk.ErrMissing) {
		at, err = d.find(ctx, d.Live, s, name)
	}
	if err != nil {
		return desk.Token{}, err
	}
	reads := 1
	return d.show(ctx, at, &reads)
}

// maxListReads bounds how many records of one list are read from the API server because the cache
// does not have them yet.
const maxListReads = 16

// show returns a token as its status describes it, or as its record does where the status is
// behind: the record is there already, or gone already. reads is the number of records that may
// still be read from the API server. At zero, a record that the cache does not have counts as gone.
func (d *Desk) show(ctx context.Context, at *v1alpha1.ApplicationToken, reads *int) (desk.Token, error) {
	named := deliveredRecord(at)
	if !byAnswer(at, d.Namespace) || named == "" {
		return d.view(at, nil), nil
	}
	t := d.view(at, nil)
	r, err := d.Records.Get(ctx, named)
	if errors.Is(err, record.ErrGone) && (t.Ready || t.ID != named) && *reads > 0 { // otherwise nothing claims that it is there
		*reads--
		r, err = d.Records.Confirm(ctx, named)
	}
	switch {
	case errors.Is(err, record.ErrGone) && t.Ready:
		t.Ready, t.Reason = false, v1alpha1.ReasonUndelivered
		return t, nil
	case errors.Is(err, record.ErrGone):
		return t, nil
	case err != nil:
		return desk.Token{}, unavailable(err)
	default:
		return d.view(at, &r), nil
	}
}

// view returns a token as its status describes it. A version r that the status may not have yet is
// described as its record does.
func (d *Desk) view(at *v1alpha1.ApplicationToken, r *record.Record) desk.Token {
	a := asked{
		roles: sorted(at.Spec.Roles), permissions: sorted(at.Spec.Permissions), sourceRanges: sorted(at.Spec.SourceRanges),
	}
	if isCloned(at) {
		a = askedByClone(at.Status.Cloned)
	}
	t := desk.Token{
		Name: d.nameOf(at), Namespace: at.Namespace, Object: at.Name, Client: clientOf(at), User: userOf(at), Declared: !d.madeHere(at),
		State: string(at.Spec.State), Reason: reasonOf(at), Roles: a.roles, Permissions: a.permissions, SourceRanges: a.sourceRanges,
		Lifetime: duration(at.Spec.Lifetime, 0), Rotations: at.Status.Rotations, Predecessors: len(at.Status.Predecessors),
		Ready: meta.IsStatusConditionTrue(at.Status.Conditions, v1alpha1.ConditionReady),
	}
	if c := at.Status.Current; c != nil {
		t.ID, t.Hint, t.IssuedAt, t.ExpiresAt = c.Record, c.Hint, c.IssuedAt.Time, instant(c.ExpiresAt)
		t.LastUsedAt, t.LastUsedFrom = instant(c.LastUsedAt), c.LastUsedFrom
	}
	if r != nil && r.Name() != t.ID {
		if r.Predecessor == t.ID && t.ID != "" {
			t.Predecessors++
		}
		t.ID, t.Hint, t.IssuedAt, t.ExpiresAt = r.Name(), r.Hint, r.IssuedAt, r.ExpiresAt
		t.LastUsedAt, t.LastUsedFrom, t.Rotations = r.LastUsedAt, r.LastUsedFrom, r.Version-1
		t.Ready, t.Reason = true, v1alpha1.ReasonDelivered
	}
	switch {
	case !at.DeletionTimestamp.IsZero() || at.Spec.State == v1alpha1.TokenRevoked:
		t.State, t.Ready, t.Reason = string(v1alpha1.TokenRevoked), false, v1alpha1.ReasonRevoked
	case at.Spec.State == v1alpha1.TokenSuspended:
		t.Ready, t.Reason = false, v1alpha1.ReasonSuspended
	case !t.ExpiresAt.IsZero() && !d.Now().Before(t.ExpiresAt):
		t.Ready, t.Reason = false, v1alpha1.ReasonExpired
	}
	return t
}

func instant(t *metav1.Time) (at time.Time) {
	if t == nil {
		return at
	}
	return t.Time
}
