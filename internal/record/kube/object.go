package kube

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// FromObject parses a TokenRecord. It returns an error for one that the API server would not have
// accepted.
func FromObject(obj *v1alpha1.TokenRecord) (record.Record, error) {
	s := &obj.Spec
	digest, err := token.ParseDigest(string(s.Digest))
	if err != nil {
		return record.Record{}, fmt.Errorf("read %s: %w", obj.Name, err)
	}
	if digest.RecordName() != obj.Name {
		return record.Record{}, fmt.Errorf("read %s: %w", obj.Name, record.ErrAmbiguous)
	}
	kind, err := kindOf(s.Kind)
	if err != nil {
		return record.Record{}, fmt.Errorf("read %s: %w", obj.Name, err)
	}
	if kind == token.Application && s.User != "" {
		kind = token.UserApplication
	}
	login, err := readLogin(s)
	if err != nil {
		return record.Record{}, fmt.Errorf("read %s: %w", obj.Name, err)
	}
	r := record.Record{
		Kind:         kind,
		Digest:       digest,
		Hint:         s.Hint,
		Owner:        record.Owner{Kind: s.Owner.Kind, Namespace: s.Owner.Namespace, Name: s.Owner.Name, UID: string(s.Owner.UID)},
		Client:       s.Client,
		User:         s.User,
		UserUID:      string(s.UserUID),
		Suspended:    s.State != v1alpha1.StateActive && s.State != "", // Active is the default
		Roles:        toStrings(s.Roles),
		Permissions:  toStrings(s.Permissions),
		SourceRanges: toStrings(s.SourceRanges),
		IssuedAt:     s.IssuedAt.Time,
		ExpiresAt:    optionalTime(s.ExpiresAt),
		Version:      s.Version,
		Trigger:      s.Trigger,
		Request:      s.Request,
		AuthorizedAt: optionalTime(s.AuthorizedAt),
		Predecessor:  s.Predecessor,
		Parent:       login.Parent,
		SupersededAt: optionalTime(s.SupersededAt),
		Refresh:      login.Refresh,
		Session:      login.Session,
		IdleTimeout:  login.IdleTimeout,
		Credential:   s.Credential,

		AuthenticatedAt: optionalTime(s.AuthenticatedAt),
		SessionEndsAt:   optionalTime(s.SessionEndsAt),

		LastUsedAt:   optionalTime(obj.Status.LastUsedAt),
		LastUsedFrom: obj.Status.LastUsedFrom,
		CreatedAt:    obj.CreationTimestamp.Time,
		Revision:     obj.ResourceVersion,
		UID:          string(obj.UID),
	}
	if s.Kind != v1alpha1.RecordKindApplication {
		r.CorrectDates()
	}
	return r, nil
}

// object returns the TokenRecord of a Record in the store's namespace.
func (s *Store) object(r record.Record) *v1alpha1.TokenRecord {
	state := v1alpha1.StateActive
	if r.Suspended {
		state = v1alpha1.StateSuspended
	}
	return &v1alpha1.TokenRecord{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: r.Name(), ResourceVersion: r.Revision, UID: types.UID(r.UID),
		},
		Spec: v1alpha1.TokenRecordSpec{
			Kind:         recordKind(r.Kind),
			Digest:       v1alpha1.Digest(r.Digest.String()),
			Hint:         r.Hint,
			Owner:        v1alpha1.RecordOwner{Kind: r.Owner.Kind, Namespace: r.Owner.Namespace, Name: r.Owner.Name, UID: types.UID(r.Owner.UID)},
			Client:       r.Client,
			User:         r.User,
			UserUID:      types.UID(r.UserUID),
			State:        state,
			Roles:        fromStrings[v1alpha1.RoleName](r.Roles),
			Permissions:  fromStrings[v1alpha1.Permission](r.Permissions),
			SourceRanges: fromStrings[v1alpha1.SourceRange](r.SourceRanges),
			IssuedAt:     metav1.NewTime(r.IssuedAt),
			ExpiresAt:    optionalMetaTime(r.ExpiresAt),
			Version:      r.Version,
			Trigger:      r.Trigger,
			Request:      r.Request,
			AuthorizedAt: optionalMetaTime(r.AuthorizedAt),
			Predecessor:  r.Predecessor,
			Parent:       digestText(r.Parent),
			SupersededAt: optionalMetaTime(r.SupersededAt),
			Refresh:      refreshObject(r.Refresh),
			Session:      digestText(r.Session),
			IdleTimeout:  durationText(r.IdleTimeout),
			Credential:   r.Credential,

			AuthenticatedAt: optionalMetaTime(r.AuthenticatedAt),
			SessionEndsAt:   optionalMetaTime(r.SessionEndsAt),
		},
	}
}

// kindOf parses the kind of a record.
func kindOf(name v1alpha1.RecordKind) (token.Kind, error) {
	for _, k := range []token.Kind{token.Application, token.Login, token.Session, token.Open, token.Access} {
		if k.String() == string(name) {
			return k, nil
		}
	}
	return 0, fmt.Errorf("no credential of kind %q is known here", name)
}

// optionalTime converts a time. It never returns the zero time, which means absent, for a time that
// is set: an end in the year 1 is not the same as no end.
func optionalTime(t *metav1.Time) time.Time {
	switch {
	case t == nil:
		return time.Time{}
	case t.IsZero():
		return time.Time{}.Add(1)
	default:
		return t.Time
	}
}

func optionalMetaTime(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return new(metav1.NewTime(t))
}

func toStrings[T ~string](list []T) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

func fromStrings[T ~string](list []string) []T {
	if len(list) == 0 {
		return nil
	}
	out := make([]T, len(list))
	for i, v := range list {
		out[i] = T(v)
	}
	return out
}
