package record

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

// FromObject parses a TokenRecord. It returns an error for one that the API server would not have
// accepted.
func FromObject(obj *v1alpha1.TokenRecord) (Record, error) {
	s := &obj.Spec
	digest, err := token.ParseDigest(string(s.Digest))
	if err != nil {
		return Record{}, fmt.Errorf("read %s: %w", obj.Name, err)
	}
	if digest.RecordName() != obj.Name {
		return Record{}, fmt.Errorf("read %s: %w", obj.Name, ErrAmbiguous)
	}
	kind, err := kindOf(s.Kind)
	if err != nil {
		return Record{}, fmt.Errorf("read %s: %w", obj.Name, err)
	}
	if kind == token.Application && s.User != "" {
		kind = token.UserApplication
	}
	login, err := readLogin(s)
	if err != nil {
		return Record{}, fmt.Errorf("read %s: %w", obj.Name, err)
	}
	r := Record{
		Kind:         kind,
		Digest:       digest,
		Hint:         s.Hint,
		Owner:        Owner{Kind: s.Owner.Kind, Namespace: s.Owner.Namespace, Name: s.Owner.Name, UID: string(s.Owner.UID)},
		Client:       s.Client,
		User:         s.User,
		UserUID:      string(s.UserUID),
		Suspended:    s.State != v1alpha1.StateActive && s.State != "", // Active is the default
		Roles:        texts(s.Roles),
		Permissions:  texts(s.Permissions),
		SourceRanges: texts(s.SourceRanges),
		IssuedAt:     s.IssuedAt.Time,
		ExpiresAt:    instant(s.ExpiresAt),
		Version:      s.Version,
		Trigger:      s.Trigger,
		Request:      s.Request,
		AuthorizedAt: instant(s.AuthorizedAt),
		Predecessor:  s.Predecessor,
		SupersededAt: instant(s.SupersededAt),
		Refresh:      login.Refresh,
		Session:      login.Session,
		IdleTimeout:  login.IdleTimeout,
		Credential:   s.Credential,

		AuthenticatedAt: instant(s.AuthenticatedAt),
		SessionEndsAt:   instant(s.SessionEndsAt),

		LastUsedAt:   instant(obj.Status.LastUsedAt),
		LastUsedFrom: obj.Status.LastUsedFrom,
		CreatedAt:    obj.CreationTimestamp.Time,
		revision:     obj.ResourceVersion,
		uid:          string(obj.UID),
	}
	if s.Kind != v1alpha1.RecordKindApplication {
		r.date()
	}
	return r, nil
}

// maxAhead is how much later than the creation by the API server the issue of a record may be, to
// allow for clock differences.
const maxAhead = time.Minute

// date corrects the record of a login that was issued by a clock that ran ahead. Its life counts
// from its creation, which the API server dated, and all other instants move along. The reconcilers
// deal with records of an ApplicationToken: they rotate it.
func (r *Record) date() {
	ahead := r.IssuedAt.Sub(r.CreatedAt)
	if ahead <= maxAhead || r.CreatedAt.IsZero() { // the API server always sets it
		return
	}
	instants := []*time.Time{&r.IssuedAt, &r.ExpiresAt}
	if r.AuthenticatedAt.After(r.CreatedAt) { // otherwise another clock dated the session
		instants = append(instants, &r.AuthenticatedAt, &r.SessionEndsAt)
	}
	if r.Refresh != nil {
		instants = append(instants, &r.Refresh.PreviousUntil, &r.Refresh.ExpiresAt)
		for i := range r.Refresh.Recent {
			instants = append(instants, &r.Refresh.Recent[i].Until)
		}
	}
	for _, t := range instants {
		if !t.IsZero() {
			*t = t.Add(-ahead)
		}
	}
}

// object returns the TokenRecord of a Record in the store's namespace.
func (k *Kube) object(r Record) *v1alpha1.TokenRecord {
	state := v1alpha1.StateActive
	if r.Suspended {
		state = v1alpha1.StateSuspended
	}
	return &v1alpha1.TokenRecord{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: k.namespace, Name: r.Name(), ResourceVersion: r.revision, UID: types.UID(r.uid),
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
			Roles:        names[v1alpha1.RoleName](r.Roles),
			Permissions:  names[v1alpha1.Permission](r.Permissions),
			SourceRanges: names[v1alpha1.SourceRange](r.SourceRanges),
			IssuedAt:     metav1.NewTime(r.IssuedAt),
			ExpiresAt:    moment(r.ExpiresAt),
			Version:      r.Version,
			Trigger:      r.Trigger,
			Request:      r.Request,
			AuthorizedAt: moment(r.AuthorizedAt),
			Predecessor:  r.Predecessor,
			SupersededAt: moment(r.SupersededAt),
			Refresh:      refreshObject(r.Refresh),
			Session:      digestText(r.Session),
			IdleTimeout:  durationText(r.IdleTimeout),
			Credential:   r.Credential,

			AuthenticatedAt: moment(r.AuthenticatedAt),
			SessionEndsAt:   moment(r.SessionEndsAt),
		},
	}
}

// kindOf parses the kind of a record.
func kindOf(name v1alpha1.RecordKind) (token.Kind, error) {
	for _, k := range []token.Kind{token.Application, token.Login, token.Session, token.Open} {
		if k.String() == string(name) {
			return k, nil
		}
	}
	return 0, fmt.Errorf("no credential of kind %q is known here", name)
}

// instant converts a time. It never returns the zero time, which means absent, for a time that is
// set: an end in the year 1 is not the same as no end.
func instant(t *metav1.Time) time.Time {
	switch {
	case t == nil:
		return time.Time{}
	case t.IsZero():
		return time.Time{}.Add(1)
	default:
		return t.Time
	}
}

func moment(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return new(metav1.NewTime(t))
}

func texts[T ~string](list []T) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

func names[T ~string](list []string) []T {
	if len(list) == 0 {
		return nil
	}
	out := make([]T, len(list))
	for i, v := range list {
		out[i] = T(v)
	}
	return out
}
