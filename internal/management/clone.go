package management

import (
	"context"
	"errors"

	"github.com/apptoken/operator/internal/plan"
	"github.com/apptoken/operator/internal/tokenspec"
)

// Clone makes a token that may do what another may.
func (s *Service) Clone(ctx context.Context, by Caller, scope Scope, name, as, key string) (Issued, error) {
	source, err := s.findLiveToken(ctx, scope, name)
	if err != nil {
		return Issued{}, err
	}
	desired, err := s.buildActive(ctx, source)
	if err != nil {
		return Issued{}, err
	}
	draft, err := s.draftToken(ctx, Scope{Client: desired.Requested.Client, User: scope.User}, TokenSpec{
		Name: as, Roles: desired.Grants.Roles, Permissions: desired.Grants.Permissions, SourceRanges: desired.Grants.SourceRanges, Lifetime: desired.Lifetime,
	})
	if err != nil {
		return Issued{}, err
	}
	id := ""
	if key != "" {
		id = tokenspec.RequestID(tokenspec.RequestClone, by.ID, source.Namespace+"/"+source.Name, key)
	}
	made, err := s.createFromDraft(ctx, by, draft, id)
	if id == "" || !errors.Is(err, ErrExists) {
		return made, err
	}
	at, err := s.findLiveToken(ctx, scope, as)
	if errors.Is(err, ErrNotFound) || err == nil && tokenspec.DeliveredRecord(at) == "" {
		return Issued{}, ErrExists
	}
	if err != nil {
		return Issued{}, err
	}
	return s.makeSuccessor(ctx, at, deliverToCaller(by), plan.Request{ID: id, RetryOnly: true})
}
