package management

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
	"github.com/apptoken/operator/controllers/index"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/tokenspec"
)

// List returns the tokens of a scope, sorted by name.
func (s *Service) List(ctx context.Context, scope Scope) ([]Token, error) {
	by := client.MatchingFields{index.TokensByClient: scope.Client}
	if scope.User != "" {
		by = client.MatchingFields{index.TokensByUser: scope.User}
	}
	inScope, err := s.scopeFilter(ctx, scope)
	if err != nil {
		return nil, err
	}
	var list v1alpha1.ApplicationTokenList
	if err := s.Client.List(ctx, &list, by, client.DisableReadYourWritesConsistency); err != nil {
		return nil, asUnavailable(err)
	}
	var tokens []Token
	reads := maxListReads
	for i := range list.Items {
		if at := &list.Items[i]; inScope(at) {
			t, err := s.describeToken(ctx, at, &reads)
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, t)
		}
	}
	slices.SortFunc(tokens, func(a, b Token) int { return cmp.Compare(a.Name, b.Name) })
	return tokens, nil
}

// Get returns a token. It asks the API server for a token that the cache does not have: it may have
// been made a moment ago.
func (s *Service) Get(ctx context.Context, scope Scope, name string) (Token, error) {
	at, err := s.findToken(ctx, s.Client, scope, name)
	if errors.Is(err, ErrNotFound) {
		at, err = s.findToken(ctx, s.Live, scope, name)
	}
	if err != nil {
		return Token{}, err
	}
	reads := 1
	return s.describeToken(ctx, at, &reads)
}

// maxListReads bounds how many records of one list are read from the API server because the cache
// does not have them yet.
const maxListReads = 16

// describeToken returns a token as its status describes it, or as its record does where the status
// is behind: the record is there already, or gone already. reads is the number of records that may
// still be read from the API server. At zero, a record that the cache does not have counts as gone.
func (s *Service) describeToken(ctx context.Context, at *v1alpha1.ApplicationToken, reads *int) (Token, error) {
	named := tokenspec.DeliveredRecord(at)
	if !tokenspec.DeliveredInResponse(at, s.Namespace) || named == "" {
		return s.tokenView(at, nil), nil
	}
	t := s.tokenView(at, nil)
	r, err := s.Records.Get(ctx, named)
	if errors.Is(err, record.ErrGone) && (t.Ready || t.ID != named) && *reads > 0 { // otherwise nothing claims that it is there
		*reads--
		r, err = s.Records.Confirm(ctx, named)
	}
	switch {
	case errors.Is(err, record.ErrGone) && t.Ready:
		t.Ready, t.Reason = false, v1alpha1.ReasonDeliveryMissing
		return t, nil
	case errors.Is(err, record.ErrGone):
		return t, nil
	case err != nil:
		return Token{}, asUnavailable(err)
	default:
		return s.tokenView(at, &r), nil
	}
}

// tokenView returns a token as its status describes it. For a version r that the status may not
// have yet, it returns what the record describes.
func (s *Service) tokenView(at *v1alpha1.ApplicationToken, r *record.Record) Token {
	a := tokenspec.RequestedGrants{
		Roles: tokenspec.SortedStrings(at.Spec.Roles), Permissions: tokenspec.SortedStrings(at.Spec.Permissions), SourceRanges: tokenspec.SortedStrings(at.Spec.SourceRanges),
	}
	if at.IsCloned() {
		a = tokenspec.RequestedByClone(at.Status.Cloned)
	}
	t := Token{
		Name: s.tokenName(at), Namespace: at.Namespace, Object: at.Name, Client: at.ClientName(), User: at.UserName(), Declared: !s.isCreatedByAPI(at),
		State: string(at.Spec.State), Reason: at.ReadyReason(), Roles: a.Roles, Permissions: a.Permissions, SourceRanges: a.SourceRanges,
		Lifetime: tokenspec.DurationOr(at.Spec.Lifetime, 0), Rotations: at.Status.Rotations, Predecessors: len(at.Status.Predecessors),
		Ready: meta.IsStatusConditionTrue(at.Status.Conditions, v1alpha1.ConditionReady),
	}
	if c := at.Status.Current; c != nil {
		t.ID, t.Hint, t.IssuedAt, t.ExpiresAt = c.Record, c.Hint, c.IssuedAt.Time, timeOrZero(c.ExpiresAt)
		t.LastUsedAt, t.LastUsedFrom = timeOrZero(c.LastUsedAt), c.LastUsedFrom
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
	case !t.ExpiresAt.IsZero() && !s.Now().Before(t.ExpiresAt):
		t.Ready, t.Reason = false, v1alpha1.ReasonExpired
	}
	return t
}

func timeOrZero(t *metav1.Time) (at time.Time) {
	if t == nil {
		return at
	}
	return t.Time
}
