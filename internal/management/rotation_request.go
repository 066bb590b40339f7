package management

import (
	"context"
	"fmt"
	"slices"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/tokenspec"
)

// requestRotation asks the reconciler to rotate a token that is delivered to a Secret. It asks by
// an annotation, since the Secret decides which version is the current one. The same value asks for
// the same rotation. The response to the caller is of this moment; the reconciler applies the same
// rules when it rotates. Administrators and holders have different annotations, so that neither
// overwrites the request of the other.
func (s *Service) requestRotation(ctx context.Context, at *v1alpha1.ApplicationToken, r plan.Request, annotation, value string) (Issued, error) {
	desired, err := s.buildActive(ctx, at)
	if err != nil {
		return Issued{}, err
	}
	if c := at.Status.Current; c != nil && c.ExpiresAt != nil && !s.Now().Before(c.ExpiresAt.Time) {
		return Issued{}, newRefused("", "the token has expired; change spec.rotation.trigger in its manifest for a new version")
	}
	list, err := s.recordsOf(ctx, at)
	if err != nil {
		return Issued{}, asUnavailable(err)
	}
	p := plan.ForRequest(s.now(), desired.Desired, observedDeclared(at, list, r.Holder), r)
	asked := at.Annotations[annotation] == value || p.Do == plan.Replace || p.Why == plan.RequestDone
	if asked && p.Why != plan.SelfRotationForbidden {
		return Issued{Token: s.tokenView(at, nil)}, nil
	}
	if err := s.refusalError(p, desired); err != nil {
		return Issued{}, err
	}
	err = s.editToken(ctx, at, func(at *v1alpha1.ApplicationToken) error {
		if at.Annotations == nil {
			at.Annotations = map[string]string{}
		}
		at.Annotations[annotation] = value
		return nil
	})
	if err != nil {
		return Issued{}, err
	}
	return Issued{Token: s.tokenView(at, nil)}, nil
}

// observedDeclared returns the observed state of a token that is delivered to a Secret, without the
// Secret. The current version is that of the holder who asks, unless that was superseded; otherwise
// it is the version in the status.
func observedDeclared(at *v1alpha1.ApplicationToken, list []record.Record, holder string) plan.Observed {
	current := ""
	if at.Status.Current != nil {
		current = at.Status.Current.Record
	}
	for _, r := range list {
		if r.Name() == holder && r.SupersededAt.IsZero() {
			current = holder
		}
	}
	return observedFromRecords(at, list, current)
}

// observedFromRecords returns the observed state of a token, by its records and the name of the
// current one.
func observedFromRecords(at *v1alpha1.ApplicationToken, list []record.Record, current string) plan.Observed {
	var o plan.Observed
	for _, r := range list {
		if v := tokenspec.PlanVersion(r, at); v.Record == current && r.SupersededAt.IsZero() {
			o.Current = &v
		} else {
			o.Others = append(o.Others, v)
		}
	}
	slices.SortFunc(o.Others, tokenspec.CompareNewestFirst)
	return o
}

// refusalError returns the error for the caller of a request for which p makes no version; nil: p
// makes one.
func (s *Service) refusalError(p plan.Plan, desired tokenspec.Desired) error {
	if p.Do != plan.Nothing {
		return nil
	}
	switch p.Why {
	case plan.SelfRotationForbidden:
		return &Denied{Message: fmt.Sprintf("client %s does not let holders rotate its tokens; let an administrator of the client rotate the token, "+
			"or ask its platform team to set spec.tokens.selfRotation to Allow", desired.Requested.Client)}
	case plan.SelfRotationTooSoon, plan.RotationPending:
		return &TooSoon{After: p.Wake.Sub(s.Now()), Message: p.Message}
	case plan.HolderSuperseded:
		return ErrSuperseded
	case plan.RequestDone:
		return ErrRetryExpired
	case plan.RequestUnknown:
		return ErrExists
	case plan.IsExpired:
		return newRefused("", "the token has expired; create a new one")
	default:
		return fmt.Errorf("%w: %s", ErrUnavailable, p.Why)
	}
}
